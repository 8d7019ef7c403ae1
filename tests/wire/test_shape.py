"""The matcher itself: each kind of difference between two wires is seen."""

import pytest

from tests.wire.shape import Each, Some, faults, read

FITS = [
    ('{"a":"1.50","b":2}', {"a": "text.2", "b": "int"}),
    ('{"a":"x"}', {"a": "text", "b?": "int"}),
    ('{"price":"61250.0"}', {"price": "text.price"}),
    ('[1730541600.123450,"+1.0",null]', ("num.6", "+text.1", "null | text")),
    ("[]", ["int"]),
    ("[1,2]", Some("int")),
    ('{"OABC":{"x":true},"OBCD":{"x":false}}', Each({"x": "bool"}, "O[A-Z]+")),
    ('"tradespot"', "'tradespot' | ''"),
    ('"T-1"', "/T-[0-9]/"),
    ('["-0.5",{"any":[]}]', ("text.*", "any")),
]
DIFFERS = [
    ('{"b":2,"a":"1"}', {"a": "text", "b": "int"}, "$: keys in the order ['b', 'a'] instead of ['a', 'b']"),
    ('{"a":1}', {"a": "int", "b": "int"}, "$: missing ['b'], unknown []"),
    ('{"a":1,"c":2}', {"a": "int"}, "$: missing [], unknown ['c']"),
    ('{"a":null}', {"a?": "int"}, "$.a: null is not int"),
    ('["1"]', ["int"], '$[0]: "1" is not int'),
    ("[1]", ["text"], "$[0]: number 1 is not text"),
    ('"1.5"', "text.2", '$: "1.5" is not text.2'),
    ("1.500", "num.2", "$: number 1.500 is not num.2"),
    ("1", "num.2", "$: number 1 is not num.2"),
    ('"1.0"', "+text.1", '$: "1.0" is not +text.1'),
    ('"1e-7"', "text.*", '$: "1e-7" is not text.*'),
    ("1", "true | bool", "$: number 1 is not true | bool"),
    ("[1,2]", ("int",), "$: 2 elements instead of 1"),
    ("[]", Some("int"), "$: the array is empty"),
    ('{"x":1}', Each("int", "[A-Z]"), "$: the key x is not [A-Z]"),
    ("{}", ["int"], "$: {} is not an array"),
    ("[]", {"a?": "int"}, "$: [] is not an object"),
]


@pytest.mark.parametrize(("text", "shape"), FITS)
def test_a_value_of_the_shape_fits(text, shape):
    assert faults(read(text), shape, price=1) == []


@pytest.mark.parametrize(("text", "shape", "fault"), DIFFERS)
def test_a_difference_is_told_with_its_place(text, shape, fault):
    assert faults(read(text), shape) == [fault]
