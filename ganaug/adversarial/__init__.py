"""The maths of the game: losses and augmentation as pure functions of tensors."""
