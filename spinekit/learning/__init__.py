"""What every model learns with: one training loop, image encoders, augmentation, searches for hyperparameters.

training                one training loop for every model
encoders                the heat-map UNet, pretrained encoders if they can be had
intensity_augmentation  random contrast, shading and blur of training images, a batch at a time
search                  searches for hyperparameters that processes share and that survive a kill
"""
