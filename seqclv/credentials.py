"""Passwords never leave: texts that are shown or recorded go through here first."""

import re

# The user up to an @; with a password, which may hold any sign, up to the last @. Digits and a slash are a port.
_USER = re.compile(r"://[^\s'\"/:@]*(?::(?!\d+/)[^\s'\"]*)?@")
_NAMED = re.compile(r"(?i)\b((?:\w*password|passwd|pwd|\w*token|\w*secret|access_key)=)[^&;\s'\"]+")


def without_credentials(text: str) -> str:
    """A text whose URIs no longer hold a user, a password or a token."""
    return _NAMED.sub(r"\1***", _USER.sub("://***@", text))
