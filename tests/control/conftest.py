"""All that these tests ask of the control API, and what it answers, is as its description says."""

import io
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

from tests.control.description import hold


class _Answer(io.BytesIO):
    """An answer that was read already."""

    def __init__(self, status, headers, body):
        super().__init__(body)
        self.status, self.headers = status, headers


@pytest.fixture(autouse=True)
def described(monkeypatch):
    """Hold what goes through urllib against openapi.json; gives what was asked, methods and paths."""
    asked, open_ = [], urllib.request.OpenerDirector.open

    def opened(self, request, *more, **named):
        url = request if isinstance(request, str) else request.full_url
        if not urlsplit(url).path.startswith("/control"):
            return open_(self, request, *more, **named)
        method, body = ("GET", None) if isinstance(request, str) else (request.get_method(), request.data)
        kind = "" if isinstance(request, str) else request.get_header("Content-type", "")
        try:
            with open_(self, request, *more, **named) as answer:
                status, headers, content = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            content = error.read()
            hold(method, url, kind, body, error.code, content)
            raise urllib.error.HTTPError(
                url, error.code, error.reason, error.headers, io.BytesIO(content)
            ) from None
        asked.append((method, urlsplit(url).path))
        hold(method, url, kind, body, status, content)
        return _Answer(status, headers, content)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", opened)
    return asked
