"""What models run on: a device by the user's word for it, as ONNX Runtime's providers, and a number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from facereel.indexer.machine import threads
from facereel.store.model.errors import EngineError, OptionError

if TYPE_CHECKING:
    from facereel.indexer.engines.runtime import onnxruntime

CPU = "CPUExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": "CUDAExecutionProvider", "coreml": "CoreMLExecutionProvider"}
DEVICES = ("auto", *PROVIDERS)
_REMEDIES = {
    "cuda": "run: pip uninstall onnxruntime, then: pip install onnxruntime-gpu",
    "coreml": "it comes with onnxruntime on macOS; elsewhere use --device cpu or cuda",
}


@dataclass(frozen=True, slots=True)
class Compute:
    """The device and the threads that an engine uses."""

    device: str = "auto"  # one of DEVICES; auto is CUDA where ONNX Runtime has it, else the CPU
    threads: int = 0  # at most; 0 means as many as there are cores

    @property
    def allowed(self) -> int:
        """Threads that may be used, 1 or more."""
        return threads(self.threads)

    def shared(self, jobs: int) -> Compute:
        """The part of each of several engines that run at the same time: they share the cores."""
        return Compute(self.device, max(1, self.allowed // jobs)) if jobs > 1 else self

    @property
    def may_use_card(self) -> bool:
        """Whether models may run on a graphics card; without loading ONNX Runtime, which takes long."""
        if self.device != "auto":
            return self.device != "cpu"
        spec = find_spec("onnxruntime")
        folders = spec.submodule_search_locations if spec else None
        return any(any(Path(folder, "capi").glob("*providers_cuda*")) for folder in folders or ())

    def providers(self) -> list[str]:
        """ONNX Runtime's providers, that of the device first.

        Raises OptionError for an unknown device, EngineError for one that this ONNX Runtime does not have.
        """
        from facereel.indexer.engines.runtime import onnxruntime

        if self.device not in DEVICES:
            raise OptionError(f"device {self.device!r} is unknown; use one of {', '.join(DEVICES)}")
        available = onnxruntime.get_available_providers()
        if self.device == "auto":
            return [PROVIDERS["cuda"], CPU] if PROVIDERS["cuda"] in available else [CPU]
        wanted = PROVIDERS[self.device]
        if wanted not in available:
            raise EngineError(
                f"--device {self.device} is not in this ONNX Runtime (it has {', '.join(available)}); "
                f"{_REMEDIES[self.device]}"
            )
        return [wanted] if wanted == CPU else [wanted, CPU]

    def check(self, session: onnxruntime.InferenceSession) -> None:
        """Raise EngineError when the session does not use the device that the user named."""
        if self.device != "auto" and PROVIDERS[self.device] not in session.get_providers():
            raise EngineError(
                f"--device {self.device} could not be started, its libraries are missing or too old; "
                "install those that your onnxruntime names, or use --device cpu"
            )


def load_model(model: Path | bytes, compute: Compute, packed: bool = True) -> onnxruntime.InferenceSession:
    """The model of an ONNX file or its content, ready to run; raises EngineError when it cannot be loaded there.

    `packed`: with a copy of its matrices in the order in which they are read, which loads slower and runs faster.
    """
    from facereel.indexer.engines.runtime import onnxruntime

    providers, options = compute.providers(), session_options()
    if not packed:
        options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        source = model if isinstance(model, bytes) else str(model)
        session = onnxruntime.InferenceSession(source, options, providers=providers)
    except Exception as error:  # whatever ONNX Runtime makes of a driver, or of too little memory
        reason = str(error).splitlines()[0]
        name = model.name if isinstance(model, Path) else "a model"
        raise EngineError(
            f"{name} cannot be loaded on {providers[0]} ({reason}); use --device cpu, or close other programs"
        ) from error
    compute.check(session)
    return session


def session_options() -> onnxruntime.SessionOptions:
    """Options of a session: one thread, because several pictures on a thread each are faster than one on all."""
    from facereel.indexer.engines.runtime import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options
