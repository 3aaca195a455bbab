"""What a fork on Kaggle attaches and opens. Nothing of it runs in a notebook there but the first code cell.

packages   what Kaggle's image lacks, and binary wheels of it for the Pythons named
bundle     the folder that is uploaded as a dataset: wheels, notebooks, trained weights
kernels    a folder for each notebook that `kaggle kernels push` takes, and the rules of its metadata
links      what every notebook says of the repository: the links that open it, and its first code cell
commands   the commands of `spinekit kaggle`
"""
