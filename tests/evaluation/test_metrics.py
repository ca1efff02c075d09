import pytest

from likewise.errors import RecipeError
from likewise.evaluation.metrics import Metric, label
from likewise.evaluation.options import EvaluateOptions


@pytest.mark.parametrize("name", ["ndcg@10", "recall@1", "mrr@100", "precision@1", "hit@5", "map@5", "map", "map@r"])
def test_names_round_trip(name):
    assert Metric.parse(name).name == name


@pytest.mark.parametrize("name", ["ndcg", "ndcg@0", "recall@-1", "hits@5", "NDCG@10", "ndcg@10 ", "map@", "recall@r", ""])
def test_unknown_names_are_refused_with_the_known_forms(name):
    with pytest.raises(RecipeError, match=r"ndcg@K, recall@K, precision@K, hit@K, mrr@K or map@K"):
        Metric.parse(name)


def test_labels_are_for_people():
    assert [label(name) for name in ("ndcg@10", "mrr@5", "map", "map@r", "efficiency")] == [
        "nDCG@10",
        "MRR@5",
        "MAP",
        "MAP@R",
        "efficiency",
    ]


@pytest.mark.parametrize("options", [{"metric": "ndcg10"}, {"others": ["recall@1", "accuracy@1"]}])
def test_a_recipe_with_an_unknown_metric_is_refused(options):
    with pytest.raises(ValueError, match="is not a metric"):
        EvaluateOptions(**options)
