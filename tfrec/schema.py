"""Strings shared across the package: column names, event kinds, tensor names and signature names."""

from typing import Final

# Columns of the input frames.
USER_ID: Final = "user_id"
ITEM_ID: Final = "item_id"
EVENT: Final = "event"
TIMESTAMP: Final = "timestamp"
VALUE: Final = "value"
SPLIT: Final = "split"
TEXT: Final = "text"
CONTEXT_PREFIX: Final = "context_"
EMBEDDING_SUFFIX: Final = "_embedding"

TITLES: Final = ("title", "name", "product_title", "headline")
"""Columns that name an item rather than group it, in order of preference."""

# Further columns of a PreparedDataset.
ITEMS: Final = "items"
EVENTS: Final = "events"
TIMESTAMPS: Final = "timestamps"
VALUES: Final = "values"
IS_TARGET: Final = "is_target"
USER: Final = "user"
HISTORY_LENGTH: Final = "history_length"
TARGET_ITEMS: Final = "target_items"
COLD_TARGET_ITEMS: Final = "cold_target_items"
TRAIN_COUNT: Final = "train_count"
DOMAIN: Final = "domain"
HELD_OUT: Final = "held_out"
IN_CATALOGUE: Final = "in_catalogue"

# Columns of a recommendation frame.
RANK: Final = "rank"
SCORE: Final = "score"

# Event kinds with default behaviour. Any other string is accepted too, and reported.
VIEW: Final = "view"
CLICK: Final = "click"
FAVOURITE: Final = "favourite"
CART: Final = "cart"
PURCHASE: Final = "purchase"
RATING: Final = "rating"
LIKE: Final = "like"
DISLIKE: Final = "dislike"
SHARE: Final = "share"
FOLLOW: Final = "follow"
COMMENT: Final = "comment"
RETURN: Final = "return"
TAG: Final = "tag"
IMPRESSION: Final = "impression"
EVENT_KINDS: Final = (
    VIEW, CLICK, FAVOURITE, CART, PURCHASE, RATING, LIKE, SHARE, FOLLOW, COMMENT, RETURN, TAG,
    IMPRESSION, DISLIKE,
)  # fmt: skip
CONTEXT_ONLY_KINDS: Final = frozenset({RETURN, TAG, IMPRESSION, DISLIKE})
"""Kinds that are not prediction targets by default."""
FUNNEL: Final = (VIEW, CLICK, FAVOURITE, CART, PURCHASE)
"""Purchase funnel, in order: each kind implies the ones before it (a user who buys an item has viewed it)."""

# Splits.
TRAIN: Final = "train"
VALID: Final = "valid"
TEST: Final = "test"
LEAVE_ONE_OUT: Final = "leave-one-out"
GLOBAL_TIME: Final = "global-time"
GIVEN: Final = "given"

# TF-Hub's text contract.
INPUT_WORD_IDS: Final = "input_word_ids"
INPUT_MASK: Final = "input_mask"
INPUT_TYPE_IDS: Final = "input_type_ids"
POOLED_OUTPUT: Final = "pooled_output"
SEQUENCE_OUTPUT: Final = "sequence_output"
ENCODER_OUTPUTS: Final = "encoder_outputs"
DEFAULT_OUTPUT: Final = "default"

# Model inputs. Item indices are int32 positions in the catalogue; −1 is padding.
HISTORY_ITEMS: Final = "history_items"
HISTORY_EVENTS: Final = "history_events"
HISTORY_GAPS: Final = "history_gaps"
RECORDED_ITEMS: Final = "recorded_items"
RECORDED_EVENTS: Final = "recorded_events"
READ_POSITIONS: Final = "read_positions"
VIEW_USERS: Final = "view_users"
CANDIDATES: Final = "candidates"
CONTEXT_NUMBERS: Final = "context_numbers"
CONTEXT_CATEGORIES: Final = "context_categories"
PADDING: Final = -1
BEHAVIOUR_TEXT: Final = "behaviour_text"
CANDIDATE_TEXT: Final = "candidate_text"

# Signatures of an exported model and their tensors.
SIGNATURE_DEFAULT: Final = "serving_default"
SIGNATURE_RECOMMEND: Final = "recommend"
SIGNATURE_RECOMMEND_FILTERED: Final = "recommend_filtered"
SIGNATURE_RECOMMEND_POPULAR: Final = "recommend_popular"
SIGNATURE_RECOMMEND_FROM_TEXT: Final = "recommend_from_text"
SIGNATURE_RECOMMEND_FROM_VECTORS: Final = "recommend_from_vectors"
SIGNATURE_RECOMMEND_FROM_IMAGE: Final = "recommend_from_image"
SIGNATURE_SIMILAR_BY_IMAGE: Final = "similar_by_image"
SIGNATURE_RANK: Final = "rank"
SIGNATURE_SIMILAR_ITEMS: Final = "similar_items"
SIGNATURE_EMBED: Final = "embed"
SIGNATURE_EXPLAIN: Final = "explain"
SIGNATURE_ENCODE: Final = "encode"
HISTORY_ITEM_IDS: Final = "history_item_ids"
HISTORY_TEXTS: Final = "history_texts"
HISTORY_VECTORS: Final = "history_vectors"
HISTORY_MASK: Final = "history_mask"
HISTORY_IMAGES: Final = "history_images"
IMAGES: Final = "images"
EXCLUDE_ITEM_IDS: Final = "exclude_item_ids"
CANDIDATE_ITEM_IDS: Final = "candidate_item_ids"
ALLOW_VALUES: Final = "allow_values"
SEGMENT: Final = "segment"
ITEM_IDS: Final = "item_ids"
TEXTS: Final = "texts"
SCORES: Final = "scores"
COUNT: Final = "count"
FALLBACK: Final = "fallback"
EMBEDDINGS: Final = "embeddings"
PROBABILITY: Final = "probability"
PART_PREFIX: Final = "part_"
FIRST_STAGE_PREFIX: Final = "first_stage_"
EVENT_ITEM_IDS: Final = "event_item_ids"
EVENT_POSITIONS: Final = "event_positions"
EVENT_EFFECTS: Final = "event_effects"
REMOVAL_SIZE: Final = "removal_size"
EXPLAIN_ITEM_IDS: Final = "explain_item_ids"
USER_HEADER: Final = "X-User-Id"
"""Header of a request that names its user, percent-encoded, for the request log alone."""
