"""Settings from a file, the environment and flags; and the report of what is in effect."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gateway.config_report import render
from gateway.errors import SetupError
from gateway.settings import Settings, layers_of, load


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_any_source_there_are_the_defaults() -> None:
    settings = load()
    assert type(settings) is Settings
    assert settings == Settings.model_construct(
        **{n: getattr(Settings(), n) for n in settings.model_fields_set}
    )
    assert (settings.server.port, settings.limits.sessions_max) == (8000, 1000)


def test_flags_beat_the_environment_and_that_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "some.toml"
    file.write_text("[limits]\nsessions_max = 1\ncontexts_max = 2\ncontext_id_chars_max = 13\n")
    monkeypatch.setenv("VOICE_GATEWAY_LIMITS__CONTEXTS_MAX", "20")
    monkeypatch.setenv("VOICE_GATEWAY_LIMITS__CONTEXT_ID_CHARS_MAX", "30")
    limits = load(file, ["limits.context_id_chars_max=200"]).limits
    assert (limits.sessions_max, limits.contexts_max, limits.context_id_chars_max) == (1, 20, 200)


def test_the_last_of_two_flags_counts() -> None:
    assert load(None, ["server.port=1", "server.port=2"]).server.port == 2


def test_the_file_in_the_working_directory_is_read_by_itself(tmp_path: Path) -> None:
    (tmp_path / "voice-gateway.toml").write_text("[engine.espeak]\nworkers = 3\n")
    assert load().engine.espeak.workers == 3


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("audio.sample_rate=16000", 16_000),
        ("audio.vbr=false", False),
        ("audio.codec=pcm", "pcm"),
        ("engine.default_voice=5", "5"),
        ("server.allowed_origins=https://a, https://b", ("https://a", "https://b")),
        ('server.allowed_origins=["https://a"]', ("https://a",)),
        ("server.allowed_origins=", ()),
        ("server.tick-s=0.01", 0.01),
        ("log.trace_dir=/tmp/x", Path("/tmp/x")),
    ],
)
def test_text_is_read_as_the_type_of_the_setting(flag: str, value: object) -> None:
    section, name = flag.partition("=")[0].replace("-", "_").split(".")
    assert getattr(getattr(load(None, [flag]), section), name) == value


def test_the_environment_is_read_by_the_same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_GATEWAY_AUDIO__FRAME_DURATION_MS", "40")
    monkeypatch.setenv("voice_gateway_server__api_keys", "one,two")
    settings = load()
    assert settings.audio.frame_duration_ms == 40
    assert [key.get_secret_value() for key in settings.server.api_keys] == ["one", "two"]


def test_variables_of_kubernetes_and_of_the_client_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VOICE_GATEWAY_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("VOICE_GATEWAY_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("VOICE_GATEWAY_API_KEY", "k")
    assert load().server.port == 8000


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (
            "limits.session_max=7",
            r"limits.session_max \(from --set\); did you mean limits.sessions_max",
        ),
        ("port=5", r"named port \(from --set\); did you mean server.port\?"),
        ("qqq.zzz=1", "voice-gateway serve --print-config lists all"),
        (
            "limits.sessions_max=0",
            r"limits.sessions_max = '0' \(from --set limits.sessions_max\): .* 1$",
        ),
        ("audio.sample_rate=5", "audio.sample_rate = '5' .*: input should be 8000, 12000"),
        ("server.allowed_origins=[a", "allowed_origins: its value looks like JSON and is not"),
        ("limits=5", r"limits = \['5'\]"),
        ("limits.sessions_max", "write it as section.name=value"),
    ],
)
def test_a_wrong_flag_is_explained(flag: str, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        load(None, [flag])


def test_an_error_gives_the_setting_and_its_limit() -> None:
    with pytest.raises(SetupError) as caught:
        load(None, ["limits.contexts_max=5000"])
    assert (caught.value.field, caught.value.limit) == ("limits.contexts_max", 1024)


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_GATEWAY_SERVER__PORT", "high")
    with pytest.raises(SetupError, match=r"'high' .from VOICE_GATEWAY_SERVER__PORT."):
        load()
    monkeypatch.setenv("VOICE_GATEWAY_SERVER__PORT", "1")
    monkeypatch.setenv("VOICE_GATEWAY_SERVER__HOTS", "::1")
    with pytest.raises(
        SetupError, match=r"server.hots .from the environment.*did you mean server.host"
    ):
        load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[limits]\nsessions = 1\n", "limits.sessions .from .*did you mean limits.sessions_max"),
        ("[limit]\nsessions_max = 1\n", "no setting is named limit"),
        ("[server]\nport = 'x'\n", r"server.port = 'x' .from .*bad.toml"),
        ("[server\n", "no valid TOML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(SetupError, match=message):
        load(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"missing.toml: No such file"):
        load(tmp_path / "missing.toml")


def test_a_secret_is_not_shown_in_an_error(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text("[server]\napi_keys = [918273]\n")
    with pytest.raises(SetupError, match=r"setting server.api_keys \(from") as caught:
        load(file)
    assert "918273" not in str(caught.value)


# ── the report ─────────────────────────────────────────────────────────────────────────────────


def test_the_report_can_be_read_back(tmp_path: Path) -> None:
    overrides = [
        "server.allowed_origins=https://ä",
        "log.trace_dir=/tmp/traces",
        'engine.default_voice=a"b',
        "engine.espeak.workers=2",
    ]
    settings = load(None, overrides)
    file = tmp_path / "printed.toml"
    file.write_text(render(settings, layers_of(None, overrides).origin), encoding="utf-8")
    assert load(file) == settings
    assert set(tomllib.loads(file.read_text())["engine"]) == {
        "default_voice",
        "cache_bytes_max",
        "queue_max",
        "utilisation_max",
        "models",
        "espeak",
        "kokoro",
        "placement",
    }


def test_the_report_says_who_set_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "voice-gateway.toml").write_text("[limits]\nsessions_max = 5\n")
    monkeypatch.setenv("VOICE_GATEWAY_LIMITS__CONTEXT_ID_CHARS_MAX", "19")
    flags = ["server.port=9000"]
    lines = render(load(None, flags), layers_of(None, flags).origin).splitlines()

    def comment_above(assignment: str) -> str:
        return lines[lines.index(assignment) - 1]

    assert comment_above("sessions_max = 5") == (
        "# Sessions at once in this process.  (set by voice-gateway.toml)"
    )
    assert "(set by VOICE_GATEWAY_LIMITS__CONTEXT_ID_CHARS_MAX)" in comment_above(
        "context_id_chars_max = 19"
    )
    assert "(set by --set server.port)" in comment_above("port = 9000")
    assert "set by" not in comment_above("contexts_max = 32")


def test_the_report_masks_secrets_and_comments_out_what_has_no_value() -> None:
    flags = ["server.api_keys=hunter2"]
    text = render(load(None, flags), layers_of(None, flags).origin)
    assert "hunter2" not in text
    assert '# api_keys = ["**********"]' in text
    assert "# trace_dir =" in text
