"""Checks an export by loading and calling it the way TensorFlow Serving does, without tfrec."""
