"""The one place that says which Keras: `from tfrec.keras import keras`."""

import tf_keras as keras

__all__ = ["keras"]
