"""Attribute names are data: "type", "a.b" or "../x" must not become paths or module names."""

from __future__ import annotations

import hashlib
import re

# Names that torch's module containers have themselves and refuse as keys (one of them transformers
# adds), then PEFT's and folders'.
_NAMES = """
add_module apply bfloat16 buffers call_super_init children clear compile copy cpu cuda double
dump_patches eval extra_repr float forward fromkeys get get_buffer get_extra_state get_parameter
get_submodule half ipu items keys load_state_dict modules mtia named_buffers named_children
named_modules named_parameters parameters pop popitem register_backward_hook register_buffer
register_forward_hook register_forward_pre_hook register_full_backward_hook
register_full_backward_pre_hook register_load_state_dict_post_hook
register_load_state_dict_pre_hook register_module register_parameter
register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
set_submodule setdefault share_memory smart_apply state_dict to to_empty train training type update
values xpu zero_grad
default base test
"""
_RESERVED = frozenset(_NAMES.split())
_SAFE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CHANGED = re.compile(r".*_[0-9a-f]{4}")  # looks like a name that was changed, so it is changed too


def safe_name(display: str) -> str:
    """A name fit for folders, adapter names and module keys; plain names stay as they are.

    Different display names do not share a safe name, but by a chance of 1 in 65,536: whatever had
    to be changed carries four hexadecimal digits of the display name's hash.

    Example:
        >>> safe_name("color"), safe_name("type"), safe_name("../x")
        ('color', 'type_1303', 'x_d6b9')
    """
    if _SAFE.fullmatch(display) and display not in _RESERVED and not _CHANGED.fullmatch(display):
        return display
    slug = re.sub(r"[^a-z0-9]+", "_", display.lower())[:64].strip("_") or "attribute"
    slug = slug if slug[0].isalpha() else f"a_{slug}"
    digest = hashlib.sha256(display.encode(errors="surrogatepass")).hexdigest()
    return f"{slug}_{digest[:4]}"
