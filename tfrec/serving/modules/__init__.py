"""The tf.Modules whose signatures an export has, one a model family."""
