"""Who is told what: once, again when it doubled, once that it is over, and never too often."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.support.engine import NOW

from tieline.app.alerts.concerns import Concern
from tieline.app.alerts.memory import APART, SETTLES_IN, Memory, Message, due, looked, noted


def concern(key: str = "cases/a", number: int = 1, people: tuple[str, ...] = ("finance",)) -> Concern:
    return Concern(key=key, title=f"{number} {key}", people=people, since=NOW, number=number)


class Told:
    """Looks at what stands, and every message is taken."""

    def __init__(self) -> None:
        self.memory, self.at = Memory(), NOW

    def look(self, standing: Sequence[Concern], after: timedelta = timedelta(0)) -> list[Message]:
        self.at += after
        self.memory = looked(self.memory, standing, self.at)
        messages = due(self.memory, standing, lambda owner: owner, self.at)
        for message in messages:
            self.memory = noted(self.memory, message)
        # what a restart reads is what was kept
        self.memory = msgspec.json.decode(msgspec.json.encode(self.memory), type=Memory)
        return messages


def test_what_stands_is_told_once_it_has_settled_and_then_no_more() -> None:
    told = Told()
    assert told.look([concern(number=20)]) == []
    (message,) = told.look([concern(number=300)], SETTLES_IN)
    assert [c.number for c in message.concerns] == [300]
    for _ in range(5):
        assert told.look([concern(number=400)], APART) == []


def test_what_was_not_taken_is_due_again_under_the_same_id() -> None:
    memory = looked(looked(Memory(), [concern()], NOW), [concern()], NOW + SETTLES_IN)
    first = due(memory, [concern()], str, NOW + SETTLES_IN)
    later = due(memory, [concern()], str, NOW + 2 * SETTLES_IN)
    assert first[0].id == later[0].id
    assert noted(memory, first[0]) != memory


def test_it_is_told_again_when_it_has_doubled_but_not_soon_after() -> None:
    told = Told()
    told.look([concern()])
    told.look([concern()], SETTLES_IN)
    assert told.look([concern(number=9)], timedelta(minutes=1)) == []
    (again,) = told.look([concern(number=12)], APART)
    assert again.concerns[0].number == 12


def test_what_comes_together_is_one_message_to_each() -> None:
    told, standing = Told(), [concern(), concern("parked/erp", people=("finance", "it"))]
    told.look(standing)
    messages = told.look(standing, SETTLES_IN)
    assert {m.recipient: [c.key for c in m.concerns] for m in messages} == {
        "finance": ["cases/a", "parked/erp"],
        "it": ["parked/erp"],
    }


def test_that_it_is_over_is_told_to_those_who_were_told() -> None:
    told = Told()
    told.look([concern()])
    told.look([concern()], SETTLES_IN)
    (over,) = told.look([], APART)
    assert (over.recipient, [t.key for t in over.over], over.concerns) == ("finance", ["cases/a"], ())
    assert told.look([], APART) == []


def test_the_same_trouble_later_is_news_with_another_id() -> None:
    told = Told()
    told.look([concern()])
    (first,) = told.look([concern()], SETTLES_IN)
    told.look([], APART)
    told.look([concern()], APART)
    (second,) = told.look([concern()], SETTLES_IN)
    assert first.id != second.id


def test_trouble_that_comes_back_before_its_end_was_told_is_told_as_one() -> None:
    told = Told()
    told.look([concern()])
    told.look([concern()], SETTLES_IN)
    told.look([], timedelta(seconds=1))
    told.look([concern()], timedelta(seconds=1))
    (message,) = told.look([concern()], APART)
    assert (len(message.concerns), message.over) == (1, ())


def test_what_passed_at_once_troubles_nobody() -> None:
    told = Told()
    told.look([concern()])
    assert told.look([], SETTLES_IN) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.frozensets(st.sampled_from("abc")), st.integers(1, 50)),
        max_size=40,
    )
)
def test_messages_keep_their_distance_and_every_end_has_a_beginning(
    looks: list[tuple[int, frozenset[str], int]],
) -> None:
    """Whatever comes and goes: no two messages within APART, and nobody hears of the end of what they never heard."""
    told, last, known = Told(), datetime.min.replace(tzinfo=NOW.tzinfo), set[str]()
    for seconds, keys, number in looks:
        for message in told.look([concern(key, number) for key in sorted(keys)], timedelta(seconds=10 * seconds)):
            assert told.at - last >= APART
            last = told.at
            over = {t.key for t in message.over}
            assert over <= known
            known = (known | {c.key for c in message.concerns}) - over
            assert not over & keys
