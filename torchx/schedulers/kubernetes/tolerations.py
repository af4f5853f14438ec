"""Reads tolerations as ``kubectl taint`` writes taints. No I/O."""

from __future__ import annotations

from torchx.schedulers.kubernetes.refusals import KubernetesAppError

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def parse_toleration(text: str) -> dict[str, str]:
    """Reads a toleration.

    Args:
        text: ``key=value:Effect`` or ``key:value:Effect``; without a value any value is tolerated,
            without an effect all effects are. ``*`` tolerates all taints.

    Returns:
        The arguments of a ``V1Toleration``.

    Raises:
        ValueError: The text has another form.

    Example:
        >>> parse_toleration("dedicated=ml:NoSchedule")
        {'key': 'dedicated', 'operator': 'Equal', 'value': 'ml', 'effect': 'NoSchedule'}
    """
    pair, _, effect = text.strip().rpartition(":")
    if effect not in _EFFECTS:
        pair, effect = text.strip(), ""
    key, sign, value = pair.partition("=" if "=" in pair else ":")
    if not key or ":" in value or (sign and (key == "*" or (sign == ":" and not effect))):
        raise KubernetesAppError(
            f"`{text}` is no toleration: write it as key=value:Effect or key:Effect, where the"
            f" effect is one of {', '.join(_EFFECTS)}"
        )
    toleration = {} if key == "*" else {"key": key}
    toleration["operator"] = "Equal" if sign else "Exists"
    if sign:
        toleration["value"] = value
    if effect:
        toleration["effect"] = effect
    return toleration
