"""BehaviourTextModel: encodes a behaviour text with BERT and predicts with a sigmoid or softmax head."""
