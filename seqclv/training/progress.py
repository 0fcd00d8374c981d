"""One progress bar per network, and its training curve."""

import sys
from collections.abc import Callable
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm


class EpochProgress(Callback):
    """Shows epochs on standard error and keeps the losses of each; survives a resume with the curve complete."""

    def __init__(
        self, title: str, *, quiet: bool, observer: Callable[[int, dict[str, float]], None] | None = None, row: int = 0
    ) -> None:
        self.title, self.quiet, self.observer, self.row = title, quiet, observer, row
        self.curve: list[dict[str, float]] = []
        self._bar: Any = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Open the bar where the training stands."""
        self._bar = tqdm(
            total=trainer.max_epochs,
            initial=trainer.current_epoch,
            desc=self.title,
            unit="epoch",
            file=sys.stderr,
            disable=self.quiet,
            dynamic_ncols=True,
            position=self.row,
        )

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the epoch's losses."""
        metrics = {name: float(trainer.callback_metrics[name]) for name in ("train_loss", "val_loss")}
        self.curve.append(metrics)
        if self.observer is not None:
            self.observer(trainer.current_epoch, metrics)
        self._bar.set_postfix({"validation": f"{metrics['val_loss']:.4f}"}, refresh=False)
        self._bar.update()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Close the bar; early stopping may leave it short of its end."""
        self._bar.close()

    def state_dict(self) -> dict[str, Any]:
        """The curve so far goes into the checkpoint."""
        return {"curve": self.curve}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the curve up again."""
        self.curve = list(state_dict["curve"])
