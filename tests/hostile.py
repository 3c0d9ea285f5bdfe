"""A world whose every text tries to break out of a page."""

from lamarck.core import Task

BREAKOUTS = (
    "</script><script>window.hacked = 1</script>",
    "<!--<script>",
    "<img src=x onerror='window.hacked = 2'>",
    "'\"><svg onload=window.hacked=3>",
    "]]>&lt;b&gt;&amp;",
    "line\u2028separator\u2029and \u202eturned round",
    "bell\x07 and null\x00 and escape\x1b[31m",
    "https://example.invalid/picture.png ${window.hacked = 4} {{7*7}} `${1}`",
)
ALL = "\n".join(BREAKOUTS)


class Hostile:
    """Two steps to the end, whatever is done."""

    concurrency = "inline"

    def reset(self, *, seed=None, task=None):
        self.at = 0
        return f"Start\n{ALL}", {"admissible_actions": [f"go {text}" for text in BREAKOUTS] + ["go on"]}

    def step(self, action):
        self.at += 1
        over = self.at == 2
        info = {"admissible_actions": [f"go {ALL}", "go on"], "success": over, "note": ALL}
        return f"Step {self.at}\n{ALL}", float(over), over, False, info


class HostileTaskset:
    name = "hostile"

    def splits(self):
        return ["train"]

    def tasks(self, split, *, seed=0, limit=None):
        return [
            Task(
                id=f"hostile/{i}{text}",
                goal=f"goal {text}",
                environment=self.name,
                split=split,
                category=f"kind {text}",
            )
            for i, text in enumerate(BREAKOUTS[:limit])
        ]

    def environment(self):
        return Hostile()
