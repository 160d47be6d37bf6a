"""The Keras that the whole package uses (Keras 2, from `tf_keras`): `from tfrec.keras import keras`."""

import tf_keras as keras

__all__ = ["keras"]
