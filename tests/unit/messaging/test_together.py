"""Calls that share a run: each gets its own answer, and one that breaks does not take the others with it."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.messaging.together import Together

pytestmark = pytest.mark.unit


async def test_calls_of_one_moment_share_a_run_and_each_gets_its_own_answer() -> None:
    runs: list[list[int]] = []

    async def run(items: Sequence[int]) -> list[int]:
        runs.append(list(items))
        await asyncio.sleep(0)
        return [item * 10 for item in items]

    together = Together(run)
    assert await asyncio.gather(*(together(n) for n in range(5))) == [0, 10, 20, 30, 40]
    assert await together(7) == 70
    assert runs == [[0, 1, 2, 3, 4], [7]]


async def test_one_that_breaks_fails_alone() -> None:
    async def run(items: Sequence[int]) -> list[int]:
        if 3 in items:
            raise ValueError("three")
        return list(items)

    together = Together(run)
    answers = await asyncio.gather(*(together(n) for n in range(5)), return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, BaseException)] == [0, 1, 2, 4]
    assert [str(answer) for answer in answers if isinstance(answer, ValueError)] == ["three"]
