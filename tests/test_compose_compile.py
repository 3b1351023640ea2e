"""A composed tower compiles to one graph, in training and in evaluation."""

import pytest
import torch

from tests.compose_samples import compose, denses, images, learned, loras, loss_of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deltas", "granularity", "backend"),
    [(loras, "head", "aot_eager"), (denses, "block", "eager")],
)
def test_a_compiled_tower_is_the_tower(deltas, granularity, backend):
    composed = compose(deltas(), granularity)
    x = images()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(composed.model.visual, backend=backend, fullgraph=True)
    for step in range(3):
        composed.uniform(0.2 + 0.1 * step)
        expected, gradient = learned(composed, x)
        composed.coefficients.grad = None
        embedding = compiled(x)
        loss_of(embedding).backward()
        torch.testing.assert_close(embedding, expected)
        torch.testing.assert_close(composed.coefficients.grad.flatten(), gradient)
        with torch.no_grad():
            torch.testing.assert_close(compiled(x), expected)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs == 2, "one to learn and one to evaluate, whatever the coefficients"
    with torch.no_grad():  # what the compiled tower left behind is not taken for new
        composed.zero()
        torch.testing.assert_close(
            composed.encode_image(x), compose(deltas(), fill=False).encode_image(x)
        )
