"""The key of a user of NATS, in its own format; test_broker.py shows that a server takes it."""

import base64

import pytest
from nacl.signing import VerifyKey

from relay.nkey import Nkey

# Made by the package that NATS has for it, of the bytes 0 to 31.
SEED = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
PUBLIC = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"


def test_a_seed_has_its_public_half_and_signs() -> None:
    key = Nkey.read(SEED)
    assert (key.public, key.write_seed()) == (PUBLIC, SEED)
    verify = VerifyKey(base64.b32decode(PUBLIC)[1:33])
    assert verify.verify(b"nonce", base64.b64decode(key.sign("nonce"))) == b"nonce"


@pytest.mark.parametrize(
    "seed", ["", "SU", SEED[:-1], SEED[:-1] + "X", f"SA{SEED[2:]}", PUBLIC, SEED.lower(), "1" * 58]
)
def test_what_is_no_seed_of_a_user_is_rejected_and_not_shown(seed: str) -> None:
    with pytest.raises(ValueError, match=r"^no seed of a user's key$"):
        Nkey.read(seed)
