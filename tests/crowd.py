"""A verifier that goes by siblings, and whose time and money a test can count."""

import signs
from lamarck.agent.hooks import Judged
from lamarck.core import Usage, Verdict

PRICE = Usage(prompt_tokens=5, completion_tokens=2, cost_usd=0.25, calls=1)


class Crowd:
    """Reads signs, takes half an hour and money for each attempt, and may die of one."""

    name, by_siblings = "crowd", True
    asked, dies_at, at = [], -1, 0.0

    def __init__(self, siblings):
        self.siblings = siblings

    async def judge(self, trajectory):
        if len(Crowd.asked) == Crowd.dies_at:
            Crowd.dies_at = -1
            raise KeyboardInterrupt
        Crowd.asked.append(trajectory.id)
        Crowd.at += 1800
        won = [step.action for step in trajectory.steps] == signs.right_way(trajectory.task.seed)
        return Judged(Verdict(passed=won, score=float(won), confidence=0.9, judge=self.name), PRICE)

    async def verify(self, trajectory):
        return (await self.judge(trajectory)).verdict
