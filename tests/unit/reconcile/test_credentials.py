"""Generated values, and the values that a rotation changes."""

import base64
import itertools

from fastapi_operator.reconcile.write.credentials import (
    fill_credentials,
    renew_unused_password,
    switch_user,
)
from fastapi_operator.resources.desired import Generated

GENERATED = Generated(
    passwords=("app", "app_alternate", "monitor"),
    templates={"users": "app={app} other={app_alternate} monitor={monitor}"},
    alternating=("app", "app_alternate"),
)


def made() -> dict[str, str]:
    """The data of a new Secret with passwords p1, p2, p3."""
    numbers = itertools.count(1)
    body = fill_credentials({}, GENERATED, password=lambda: f"p{next(numbers)}")
    return dict(body["data"])


def plain(data: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_the_first_user_is_used_first() -> None:
    assert plain(made()) == {
        "app": "p1",
        "app_alternate": "p2",
        "monitor": "p3",
        "username": "app",
        "password": "p1",
        "users": "app=p1 other=p2 monitor=p3",
    }


def test_a_switch_does_not_change_the_passwords_of_servers() -> None:
    change = switch_user(made(), GENERATED)
    assert plain(change) == {"username": "app_alternate", "password": "p2"}
    back = switch_user(made() | change, GENERATED)
    assert plain(back) == {"username": "app", "password": "p1"}


def test_only_the_unused_user_gets_another_password() -> None:
    now = made() | switch_user(made(), GENERATED)
    change = renew_unused_password(now, GENERATED, password=lambda: "fresh")
    assert plain(change) == {"app": "fresh", "users": "app=fresh other=p2 monitor=p3"}
    assert plain(now | change)["password"] == "p2"


def test_a_rotation_adds_a_file_that_the_secret_of_an_older_operator_lacks() -> None:
    data = made()
    del data["users"]
    fresh = plain(renew_unused_password(data, GENERATED, password=lambda: "p4"))
    assert fresh["users"] == "app=p1 other=p4 monitor=p3"
