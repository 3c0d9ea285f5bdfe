"""A vLLM server for as long as it is needed: started, waited for, adapters loaded into it, put to sleep, ended."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from ..config_vllm import VllmConfig
from ..errors import ModelError
from ..serving import listening
from ..wheels import Notify
from .vllm_command import Served, rank_of, room_for, vllm_command, vllm_environment
from .vllm_control import RESTART, VllmControl
from .vllm_process import END, VllmProcess
from .vllm_start import Starting

HOST = "127.0.0.1"
REAPED = 20
"""How often a silent server is looked at, every 50 ms, for whether its process has ended."""


@dataclass
class VllmServer:
    """A vLLM server in a process of its own, which ends with this one.

    Args:
        served: the model.
        config: how it is started.
        log: where its output goes; a temporary file if not given.
        host: address to listen on.
        key: what clients have to send; None lets everybody in who can reach it.
        notify: told what is being waited for.
    """

    served: Served
    config: VllmConfig = field(default_factory=VllmConfig)
    log: Path | None = None
    host: str = HOST
    key: str | None = field(default_factory=lambda: secrets.token_hex(16))
    notify: Notify | None = None
    model: str = field(default="", init=False)
    """The name to ask for: that of the adapter, where one is loaded."""
    seconds: float = field(default=0.0, init=False)
    """How long the last start took."""
    asleep: bool = field(default=False, init=False)
    """Whether its memory was given back. A question would end it then: it has to be woken first."""
    fragile: bool = field(default=False, init=False)
    """Whether log-probabilities of prompts have to be asked for one at a time.

    With adapters switched on, vLLM applies them to the logits of a whole prompt by a table that has one entry per
    request (its issues 16668, 29955, 51594). The kernels for processors die of it as soon as two requests run together;
    those for GPUs leave out what an adapter does to `lm_head`.
    """
    _process: VllmProcess | None = field(default=None, init=False, repr=False)
    _control: VllmControl | None = field(default=None, init=False, repr=False)
    _port: int = field(default=0, init=False, repr=False)
    _rank: int = field(default=0, init=False, repr=False)
    _adapter: Path | None = field(default=None, init=False, repr=False)
    _temporary: Path | None = field(default=None, init=False, repr=False)

    @property
    def url(self) -> str:
        """Address as OpenAI's clients want it, with `/v1`."""
        return f"{self.root}/v1"

    @property
    def root(self) -> str:
        """Address without a path."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self._port}"

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.status is None

    async def start(self, adapter: Path | None = None) -> None:
        """Start the process and wait until it answers; one that runs is ended first.

        Args:
            adapter: folder of an adapter to load as well.

        Raises:
            ConfigError: no interpreter has vllm, the port is taken, or there is no whole adapter of this model.
            ModelError: it ended, or did not answer in time; says what its log says.
        """
        label = self.served.label if adapter is None else self.served.adapted(adapter)
        if (died := self.died()) is not None:
            self._say(f"{died} Starting vLLM anew.")
        await self.stop()
        began = time.monotonic()
        self._port = _port(self.host, self.config.port)
        self.model = ""
        self._rank = rank = room_for(max(self.config.lora_rank, 0 if adapter is None else rank_of(adapter)))
        command = vllm_command(self.served, self.config, host=self.host, port=self._port, rank=rank, adapter=adapter)
        if self.log is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="lamarck-vllm-"))
            self.log = self._temporary / "vllm.log"
        env = vllm_environment(self.config, self.key, adapters=rank > 0)
        self._process = await asyncio.to_thread(VllmProcess, command, env, self.log)
        self._control = VllmControl(self.root, self.key)
        self._say(f"starting vLLM with {label}; its log is {self.log}")
        try:
            ready = Starting(self.served, self.config, self._process, self._control, self._say)
            await ready.wait(label, began)
        except BaseException:
            await asyncio.shield(self.stop())
            raise
        self.model, self._adapter = label, adapter
        self.seconds = time.monotonic() - began
        self._say(f"vLLM is up after {self.seconds:.0f} s")
        self.fragile = rank > 0 and self._process.said("device_config=cpu")
        if self.fragile:
            self._say(
                "This vLLM is one for processors: with adapters it dies when it measures two answers at once. Other "
                "programs have to ask it with model.choice_mode=text; --set lora_rank=0 serves without adapters."
            )

    async def load(self, adapter: Path | None) -> str:
        """Let an adapter answer from now on, or None for the model itself; return the name to ask for.

        It is loaded into the running server, which is woken first; where that is refused, the server is started anew
        with it. One that cannot be dropped after it stays loaded.

        Raises:
            ConfigError: there is no whole adapter of this model.
            ModelError: neither way took it.
        """
        name = self.served.label if adapter is None else self.served.adapted(adapter)
        if self.asleep:
            await self.wake()
        control, before = self._ready(), self.model
        if name == before:
            return name
        if adapter is not None:
            try:
                if (rank := rank_of(adapter)) > self._rank:
                    raise ModelError(f"The server takes no adapter of rank {rank}.", kind="no_endpoint")
                await control.load(name, adapter)
            except ModelError as error:
                if error.kind not in RESTART:
                    raise
                self._say(f"{error.message} Starting vLLM anew with the adapter.")
                await self.start(adapter)
                return name
        self.model, self._adapter = name, adapter
        if before != self.served.label:
            try:
                await control.unload(before)
            except ModelError as error:
                self._say(f"{error.message} It stays loaded beside {name}, which answers from now on.")
        return name

    async def sleep(self, level: int = 1) -> None:
        """Give the GPU's memory back, for training to use.

        Args:
            level: 1 keeps the weights in the machine's memory, 2 forgets them (only where new ones are loaded after).

        No question may be under way: it would end the server.

        Raises:
            ModelError: it was not started so that it can, or refuses.
        """
        if not self.config.sleep:
            # Without the flag some builds say that they sleep and keep their memory.
            raise ModelError(
                f"the vLLM server with {self.served.name} was not started so that it can sleep.",
                hint="Set model.vllm.sleep=true; it needs a GPU.",
                kind="no_sleep",
            )
        await self._ready().sleep(level)
        self.asleep = True

    async def wake(self) -> None:
        """Take the memory again; the next call is answered. One that does not wake is started anew.

        Raises:
            ModelError: it was not started so that it can, or does not come up: most often the memory is not free.
        """
        try:
            await self._ready().wake()
        except ModelError as error:
            if self._control is None or error.kind == "no_endpoint":
                raise
            self._say(f"{error.message} Starting vLLM anew.")
            await self.start(self._adapter)
        self.asleep = False

    async def stop(self) -> None:
        """End it and everything it started; a temporary log is kept where it died or never came up."""
        process, control = self._process, self._control
        self._process = self._control = None
        self.asleep = False
        if control is not None:
            await control.close()
        if process is None:
            return
        well = process.status is None and bool(self.model)
        await asyncio.to_thread(process.stop)
        if well and self._temporary is not None:
            await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)
            self.log = self._temporary = None

    def died(self) -> ModelError | None:
        """Return why it is not there any more, or None where it is."""
        process = self._process
        if process is None or process.status is None:
            return None
        return self._dead(process, f"died with exit status {process.status}")

    async def lost(self, *, silent: bool = True) -> ModelError | None:
        """Return why nothing comes of it any more, though its process may live; None where it is well.

        Args:
            silent: count it as lost as well where it twice gives no answer.
        """
        process, control = self._process, self._control
        if process is None or control is None:
            return None
        states = [state := await control.health()]
        if state == "silent" and silent:
            states.append(await control.health())
        for _ in range(REAPED if states[-1] == "silent" else 1):
            if (died := self.died()) is not None:
                return died
            # It closes its sockets before it can be seen to have ended.
            await asyncio.sleep(0.05 if states[-1] == "silent" else 0.0)
        if "ill" in states:
            return self._dead(process, "has lost its engine")
        return self._dead(process, "does not answer any more") if states == ["silent", "silent"] else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _dead(self, process: VllmProcess, what: str) -> ModelError:
        return ModelError(
            f"the vLLM server with {self.served.name} {what}: {process.reason(END)}",
            hint=f"Its log is {process.log}.",
            kind="died",
        )

    def _ready(self) -> VllmControl:
        if self._control is None:
            raise ModelError(f"the vLLM server with {self.served.name} is not running.", kind="connection")
        return self._control

    def _say(self, text: str) -> None:
        if self.notify is not None:
            self.notify(text)


def _port(host: str, wanted: int) -> int:
    with listening("vLLM", host, wanted) as listener:
        return int(listener.getsockname()[1])
