"""One model out of many deltas. Empty so far: this room opens after the main job stands."""
