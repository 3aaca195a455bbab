"""What every model learns with: one training loop, image encoders, augmentation, searches for hyperparameters.

recipe                  the numbers of a training, and the precision of a device
devices                 the processor that models run on
training                one training loop for every model
stored_weights          weights read from safetensors alone, finite and of the right model
distributed             one training in several processes, one for each GPU
watching                who is told of a training while it runs
tensorboard             losses and scores for TensorBoard, in a local folder
encoders                the heat-map UNet, and pretrained encoders where available
intensity_augmentation  random contrast, shading and blur of training images, a batch at a time
search                  searches for hyperparameters that processes share and that survive a kill
search_results          what searches came to, as tables
"""
