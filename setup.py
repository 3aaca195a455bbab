"""The wheel carries the notebooks: a fork runs from there a step that it lacks. All else stands in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithNotebooks(build_py):
    """Build the package and copy the notebooks into it; an editable installation finds them in the checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for file in sorted(Path("notebooks").glob("*.ipynb")):
                target = Path(self.build_lib, "spinekit", "notebooks", file.name)
                self.mkpath(str(target.parent))
                self.copy_file(str(file), str(target))


setup(cmdclass={"build_py": WithNotebooks})
