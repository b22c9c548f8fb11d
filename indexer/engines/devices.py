"""What models run on: ONNX Runtime's providers by a user's word for them, and threads within the machine's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facereel.indexer.machine import threads
from facereel.store.model.errors import EngineError, OptionError

if TYPE_CHECKING:
    import onnxruntime

CPU = "CPUExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": "CUDAExecutionProvider", "coreml": "CoreMLExecutionProvider"}
DEVICES = ("auto", *PROVIDERS)
_REMEDIES = {
    "cuda": "run: pip uninstall onnxruntime, then: pip install onnxruntime-gpu",
    "coreml": "it comes with onnxruntime on macOS; elsewhere use --device cpu or cuda",
}


@dataclass(frozen=True, slots=True)
class Compute:
    """Where an engine computes."""

    device: str = "auto"  # one of DEVICES; auto is CUDA where ONNX Runtime has it, else the CPU
    threads: int = 0  # at most; 0 is as many as there are cores

    @property
    def allowed(self) -> int:
        """Threads that may be used, 1 or more."""
        return threads(self.threads)

    def shared(self, jobs: int) -> Compute:
        """The same for each of several that compute at once: they share the cores."""
        return Compute(self.device, max(1, self.allowed // jobs)) if jobs > 1 else self

    def providers(self) -> list[str]:
        """ONNX Runtime's providers, the wanted one first; raises OptionError, EngineError when it is missing."""
        import onnxruntime

        if self.device not in DEVICES:
            raise OptionError(f"device {self.device!r} is unknown; use one of {', '.join(DEVICES)}")
        there = onnxruntime.get_available_providers()
        if self.device == "auto":
            return [PROVIDERS["cuda"], CPU] if PROVIDERS["cuda"] in there else [CPU]
        wanted = PROVIDERS[self.device]
        if wanted not in there:
            raise EngineError(
                f"--device {self.device} is not in this ONNX Runtime (it has {', '.join(there)}); "
                f"{_REMEDIES[self.device]}"
            )
        return [wanted] if wanted == CPU else [wanted, CPU]

    def check(self, session: onnxruntime.InferenceSession) -> None:
        """Raise EngineError when the device that was asked for could not be started after all."""
        if self.device != "auto" and PROVIDERS[self.device] not in session.get_providers():
            raise EngineError(
                f"--device {self.device} could not be started, its libraries are missing or too old; "
                "install those that your onnxruntime names, or use --device cpu"
            )


def disable_telemetry() -> None:
    """Keep ONNX Runtime from reporting to its makers, as its builds for Windows do unless they are told."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()


def options() -> onnxruntime.SessionOptions:
    """Options of a session: one thread each, as several pictures side by side scale better than one in pieces."""
    import onnxruntime

    disable_telemetry()
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = 1
    chosen.log_severity_level = 3
    return chosen
