"""BehaviourTextModel: the behaviour text through a BERT encoder to a sigmoid or softmax head."""
