"""The tf.Modules that are exported, one for each model family; their methods become the signatures."""
