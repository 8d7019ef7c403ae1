"""What does not fit a type is one line in our own words, with its path, the value, and what is meant."""

import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from emulator.reading import WrongValue, meant, read, read_object


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Inner(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=5)]
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0
    amounts: dict[str, str] = {}


class Outer(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    rows: tuple[Inner, ...] = ()
    impact: Literal["none", "minor", "major"] = "none"
    level: Level | None = None
    count: Annotated[int, msgspec.Meta(gt=0)] = 1
    on: bool = True
    pair: tuple[str, str] | None = None
    code: Annotated[str, msgspec.Meta(pattern="^[a-z]+$", description="small letters")] = "a"
    either: int | str = 0
    any: Any = None

    def __post_init__(self) -> None:
        if self.count == 13:
            raise ValueError("13 is no good count")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"rows": 3}, "rows = 3: a list is meant"),
        ({"rows": [3]}, "rows[0] = 3: fields of name, ratio, amounts are meant"),
        ({"rows": [{}]}, "rows[0].name: missing; text of 1 to 5 characters is meant"),
        ({"rows": [{"name": ""}]}, "rows[0].name = '': text of 1 to 5 characters is meant"),
        ({"rows": [{"name": "a", "ratio": 2}]}, "rows[a].ratio = 2: a number from 0 to 1 is meant"),
        ({"rows": [{"name": "a", "ratio": True}]}, "rows[a].ratio = true: a number from 0 to 1 is meant"),
        (
            {"rows": [{"name": "a"}, {"name": "a", "ratio": float("nan")}]},
            "rows[1].ratio = NaN: a number from 0 to 1 is meant",
        ),
        (
            {"rows": [{"name": "a", "amounts": {"USD": "1", "EUR": 1000}}]},
            'rows[a].amounts.EUR = 1000: text is meant, in quotes: "1000"',
        ),
        ({"rows": [{"name": "a", "amounts": [1]}]}, "rows[a].amounts = [1]: names with values are meant"),
        ({"impct": 1}, "unknown field 'impct', did you mean 'impact'? There are: rows, impact, "),
        ({"impact": "minr"}, "impact: unknown value 'minr', did you mean 'minor'? There are: major, minor, "),
        ({"impact": None}, "impact = null: one of major, minor, none is meant"),
        ({"level": "mid"}, "level: unknown value 'mid'; there are: low, high"),
        ({"count": 0}, "count = 0: a whole number above 0 is meant"),
        ({"count": 1.5}, "count = 1.5: a whole number above 0 is meant"),
        ({"count": 13}, "13 is no good count"),
        ({"on": "yes"}, "on = 'yes': true or false is meant"),
        ({"pair": ["a"]}, 'pair = ["a"]: a list of 2 is meant'),
        ({"code": "A"}, "code = 'A': small letters is meant"),
        ({"either": []}, "either = []: a whole number or text is meant"),
        ([], "[]: fields of rows, "),
    ],
)
def test_each_misfit_is_told_in_one_line_of_our_own(value, said):
    with pytest.raises(WrongValue) as caught:
        read(value, Outer)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    with pytest.raises(WrongValue) as below:
        read(value, Outer, "top")
    assert str(below.value) == str(caught.value.below("top"))
    assert str(below.value).startswith("top")


def test_a_long_value_is_cut_short():
    with pytest.raises(WrongValue) as caught:
        read({"count": ["x" * 10_000]}, Outer)
    assert len(str(caught.value)) < 150


def test_what_fits_is_read_and_numbers_may_be_text_where_that_is_usual():
    assert read({"count": 3, "level": "low"}, Outer) == Outer(count=3, level=Level.LOW)
    assert read("3", int, strict=False) == 3
    assert meant(bool) == "true or false"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "the body is empty: a JSON object is meant, as in {"),
        ("  ", "the body is empty: "),
        ('{"a": ', "the body is cut off: "),
        ('{"a": }', "the body is wrong at byte 6: "),
        ("[1, 2]", "the body is [1, 2]: "),
        ("null", "the body is null: "),
        ("[" * 5_000, "the body is nested too deep: "),
    ],
)
def test_a_body_that_is_no_object_is_told_in_one_line(body, said):
    with pytest.raises(WrongValue) as caught:
        read_object(body)
    assert str(caught.value).startswith(said)
