from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from rtstt_lab.recognition.features import LogMel
from rtstt_lab.types import SAMPLE_RATE_HZ, Samples


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize("size", [400, 16_001, 5 * SAMPLE_RATE_HZ])
def test_the_features_are_faster_whispers(two_cities: Samples, bands: int, size: int) -> None:
    """Summing each filter over its own bins gives what the product with the whole matrix gives."""
    extractor = FeatureExtractor(feature_size=bands)
    samples = two_cities[2 * SAMPLE_RATE_HZ :][:size]
    ours = LogMel(extractor)(samples)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, extractor(samples), atol=1e-4)
