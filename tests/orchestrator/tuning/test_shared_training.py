import asyncio

from orchestrator.tuning.shared_training import Claims


def test_a_commit_is_granted_once_and_waited_for() -> None:
    async def scenario() -> None:
        claims = Claims()
        assert await claims.take(["0", "1a"], "a")
        waiting = asyncio.create_task(claims.take(["0", "1b"], "b"))
        await asyncio.sleep(0)
        assert not waiting.done()
        await claims.made("0")
        # It is there now: look again.
        assert await waiting is False
        assert await claims.take(["1b"], "b") and await claims.take(["1a"], "a")

    asyncio.run(asyncio.wait_for(scenario(), 5))


def test_the_rest_of_a_chain_is_granted_with_its_first_commit() -> None:
    async def scenario() -> None:
        claims = Claims()
        assert await claims.take(["0", "1"], "a")
        await claims.made("0")
        twin = asyncio.create_task(claims.take(["1"], "twin"))
        await asyncio.sleep(0)
        assert not twin.done()
        await claims.made("1")
        assert await twin is False

    asyncio.run(asyncio.wait_for(scenario(), 5))


def test_what_a_trial_leaves_is_free() -> None:
    async def scenario() -> None:
        claims = Claims()
        assert await claims.take(["0", "1"], "a")
        heirs = [asyncio.create_task(claims.take(["0", "1"], name)) for name in ("b", "c")]
        await asyncio.sleep(0)
        await claims.release("a")
        await asyncio.sleep(0.01)
        # One of the waiting trials continues, and the other one waits for it.
        assert [heir.done() for heir in heirs].count(True) == 1
        await claims.made("0")
        assert sorted(await asyncio.gather(*heirs)) == [False, True]

    asyncio.run(asyncio.wait_for(scenario(), 5))
