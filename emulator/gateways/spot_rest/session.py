"""Who is calling: the checks of a private call, in Kraken's order (reference: spot REST 1.6)."""

from emulator.gateways import reasons
from emulator.gateways.errors import PERMISSION_DENIED, VenueError
from emulator.gateways.keys import ApiKey, KeyRing
from emulator.gateways.parameters import Params


def authenticate(
    keys: KeyRing, path: str, public_key: str, signature: str, body: bytes, params: Params
) -> ApiKey:
    """Return the key of a call that is really signed by it; its nonce is consumed.

    Raises VenueError: unknown key, then a signature that does not fit the raw body, then the nonce.
    """
    key = keys.find(public_key)
    if key is None:
        raise VenueError("EAPI:Invalid key", reasons.of_key, keys, public_key)
    nonce = params.get("nonce") or ""
    if not signature or not key.signed(path, nonce, body, signature):
        raise VenueError("EAPI:Invalid signature", reasons.of_signature, key, path, nonce, body, signature)
    if not nonce.isascii() or not nonce.isdigit() or len(nonce) > 20 or not key.take_nonce(int(nonce)):
        raise VenueError("EAPI:Invalid nonce", reasons.of_nonce, key, nonce)
    return key


def admit(key: ApiKey, params: Params, address: str, now_ns: int) -> None:
    """Refuse a key that has ended, comes from elsewhere, or lacks its one-time password; VenueError."""
    otp = params.get("otp")
    if not key.lives(now_ns):
        raise VenueError("EAPI:Invalid key", reasons.of_admission, key, address, otp, now_ns)
    if not key.comes_from(address) or not key.unlocked_by(otp, now_ns):
        raise VenueError(PERMISSION_DENIED, reasons.of_admission, key, address, otp, now_ns)
    key.last_used_ns = now_ns
