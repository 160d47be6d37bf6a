"""What an encoder folder says about itself."""

import pytest

from tfrec import InvalidInput
from tfrec.encoders import describe_encoder


def test_a_folder_says_its_width_and_pooling_and_any_other_folder_is_refused(tiny_encoder, tmp_path):
    about = describe_encoder(tiny_encoder)
    assert (about["dim"], about["pooling"]) == (32, "mean")
    with pytest.raises(InvalidInput, match="tfrec_encoder.json"):
        describe_encoder(tmp_path)
