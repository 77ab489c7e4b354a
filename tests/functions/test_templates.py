"""templates: what a storyboard can begin with, built-in and one's own, in versions."""

from typing import Any

import psycopg
import pytest

from shared.templates import TemplateContent
from tests.client import Answer, Client, JsonObject
from tests.people import User
from tests.storyboards import frame, image_url, storyboard, with_frames

Database = psycopg.Connection[Any]

OWN: JsonObject = {
    "name": "House style",
    "description": "What we always do",
    "video": {"aspect": "9:16", "fps": 25, "transition": "fade"},
    "storyboard": {"style": "flat", "mood": "dry", "videoDuration": 12, "prompt": "{{ what }} in {{place}}"},
    "fields": {
        "type": "object",
        "properties": {
            "what": {"type": "string", "maxLength": 20},
            "place": {"type": "string", "default": "Rome"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        },
        "required": ["what"],
    },
}


def make(user: Client, **changed: object) -> Answer:
    return user.send("POST", "templates", OWN | changed)


def made(user: Client, **changed: object) -> JsonObject:
    answer = make(user, **changed)
    assert answer.status == 201, answer.json
    template: JsonObject = answer.json["template"]
    return template


def listed(user: Client) -> list[JsonObject]:
    found: list[JsonObject] = user.get("templates").json["templates"]
    return found


def with_template(user: User, template_id: str, **more: object) -> JsonObject:
    """Return a storyboard that leaves to its template what that can give."""
    given = with_frames([frame(1, image_url(user.subject))], templateId=template_id)
    return {name: value for name, value in given.items() if name not in LEFT_OUT} | more


LEFT_OUT = ("originalPrompt", "videoDuration", "style", "mood")


def test_everybody_can_choose_between_built_in_templates(alice: User, guest: Client) -> None:
    for caller in (alice, guest):
        templates = [one for one in listed(caller) if one["builtIn"]]
        assert len(templates) >= 8
        assert {"9:16", "16:9", "1:1", "4:5"} <= {one["video"]["aspect"] for one in templates}
        assert len({one["name"] for one in templates}) == len(templates)


def test_each_built_in_template_is_whole_and_makes_a_storyboard_by_its_defaults(alice: User) -> None:
    for template in (one for one in listed(alice) if one["builtIn"]):
        content = TemplateContent.model_validate(template)
        assert content.description and content.storyboard.prompt and content.video.fps
        saved = alice.save(with_template(alice, template["templateId"]))
        assert saved.status == 200, saved.json
        session = alice.read(saved.json["sessionId"]).json["session"]
        assert "{{" not in session["originalPrompt"]
        assert session["style"] == template["storyboard"]["style"]
        assert (session["templateId"], session["templateVersion"]) == (template["templateId"], template["version"])


def test_one_of_ones_own_is_made_read_and_listed_behind_the_built_in_ones(alice: User) -> None:
    template = made(alice)
    assert (template["version"], template["builtIn"]) == (1, False)
    assert {name: value for name, value in template["video"].items() if value is not None} == OWN["video"]
    answer = alice.get("templates", templateId=template["templateId"])
    assert answer.json["template"] == template
    assert answer.headers["etag"] == '"1"'
    assert listed(alice)[-1] == template


def test_the_list_is_paged(alice: User) -> None:
    mine = [made(alice, name=f"No. {number}")["templateId"] for number in range(3)]
    found: list[str] = []
    page = alice.get("templates", limit=4).json
    while True:
        found += [one["templateId"] for one in page["templates"]]
        assert len(page["templates"]) <= 4
        if page["nextCursor"] is None:
            break
        page = alice.get("templates", limit=4, cursor=page["nextCursor"]).json
    assert found == [one["templateId"] for one in listed(alice)]
    assert found[-3:] == mine


def test_nobody_else_sees_or_changes_it(alice: User, bob: User, guest: Client) -> None:
    template_id = made(alice)["templateId"]
    for stranger in (bob, guest):
        answers = [
            stranger.get("templates", templateId=template_id),
            stranger.send("PUT", "templates", OWN, templateId=template_id),
            stranger.send("DELETE", "templates", templateId=template_id),
        ]
        assert [answer.code for answer in answers] == ["template_not_found"] * 3
        assert template_id not in {one["templateId"] for one in listed(stranger)}
    assert bob.save(with_template(bob, template_id, templateData={"what": "x"})).code == "template_not_found"
    assert alice.get("templates", templateId=template_id).status == 200


def test_guests_have_none_of_their_own(guest: Client) -> None:
    answer = make(guest)
    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_built_in_one_cannot_be_changed(alice: User, method: str) -> None:
    answer = alice.send(method, "templates", OWN if method == "PUT" else None, templateId="anime")
    assert (answer.status, answer.code) == (403, "template_built_in")


def test_a_change_is_a_new_version_and_the_earlier_one_can_still_be_read(alice: User) -> None:
    first = made(alice)
    same = alice.send("PUT", "templates", OWN, templateId=first["templateId"]).json["template"]
    assert same["version"] == 1
    changed = alice.send("PUT", "templates", OWN | {"name": "New"}, templateId=first["templateId"])
    assert (changed.json["template"]["version"], changed.headers["etag"]) == (2, '"2"')
    before = alice.get("templates", templateId=first["templateId"], version=1).json["template"]
    assert (before["name"], before["version"], before["fields"]) == (first["name"], 1, first["fields"])
    assert alice.get("templates", templateId=first["templateId"], version=3).code == "template_not_found"


def test_a_change_on_top_of_another_version_is_refused_with_the_current_one(alice: User) -> None:
    template_id = made(alice)["templateId"]
    alice.send("PUT", "templates", OWN | {"name": "New"}, templateId=template_id, headers={"If-Match": '"1"'})
    late = alice.send("PUT", "templates", OWN | {"name": "Late"}, templateId=template_id, headers={"If-Match": '"1"'})
    assert (late.status, late.code, late.json["currentVersion"]) == (412, "version_conflict", 2)
    assert alice.get("templates", templateId=template_id).json["template"]["name"] == "New"


def test_a_session_remembers_the_version_that_it_was_made_with(alice: User) -> None:
    template_id = made(alice)["templateId"]
    session_id = alice.save(with_template(alice, template_id, templateData={"what": "Cats"})).json["sessionId"]
    alice.send("PUT", "templates", OWN | {"name": "New"}, templateId=template_id)
    assert alice.read(session_id).json["session"]["templateVersion"] == 1
    alice.send("DELETE", "templates", templateId=template_id)
    session = alice.read(session_id).json["session"]
    assert (session["templateId"], session["templateVersion"]) == (template_id, 1)


def test_merge_fields_are_filled_in_every_text(alice: User) -> None:
    template_id = made(alice)["templateId"]
    texts = {
        "description": "{{what}} at dawn",
        "prompt": "{{ count }} {{what}}",
        "sceneStory": "{{place}} {{other}} {{",
        "storyTitle": "{{what}}!",
    }
    given = with_template(
        alice,
        template_id,
        templateData={"what": "Cats", "count": 4},
        frames=[frame(1, image_url(alice.subject), **texts)],
    )
    answer = alice.save(given).json
    stored = answer["frames"][0]
    assert {name: stored[name] for name in texts} == {
        "description": "Cats at dawn",
        "prompt": "4 Cats",
        "sceneStory": "Rome {{other}} {{",
        "storyTitle": "Cats!",
    }
    session = alice.read(answer["sessionId"]).json["session"]
    assert session["originalPrompt"] == "Cats in Rome"
    assert (session["style"], session["mood"], session["videoDuration"]) == ("flat", "dry", 12)


def test_what_the_request_says_itself_counts(alice: User) -> None:
    template_id = made(alice)["templateId"]
    mine = {"originalPrompt": "Mine about {{what}}", "style": "own", "mood": "own", "videoDuration": 7}
    saved = alice.save(with_template(alice, template_id, templateData={"what": "it"}, **mine)).json
    session = alice.read(saved["sessionId"]).json["session"]
    assert {name: session[name] for name in mine} == mine | {"originalPrompt": "Mine about it"}


def test_braces_stay_as_they_are_without_a_template(alice: User) -> None:
    saved = alice.save(storyboard(alice.subject, 1, originalPrompt="{{what}}")).json
    assert alice.read(saved["sessionId"]).json["session"]["originalPrompt"] == "{{what}}"


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({}, "templateData.what"),
        ({"what": 3}, "templateData.what"),
        ({"what": "x" * 21}, "templateData.what"),
        ({"what": "x", "count": 0}, "templateData.count"),
        ({"what": "x", "count": 1.5}, "templateData.count"),
        ({"what": "x", "count": True}, "templateData.count"),
        ({"what": "x", "place": ["Rome"]}, "templateData.place"),
        ({"what": "x", "unknown": "y"}, "templateData.unknown"),
    ],
)
def test_data_that_does_not_fit_the_fields_is_refused_by_name(
    alice: User, database: Database, data: JsonObject, path: str
) -> None:
    template_id = made(alice)["templateId"]
    given = with_template(alice, template_id, templateData=data)
    answer = alice.save(given)
    assert (answer.status, answer.code) == (422, "invalid_template_data")
    assert [error["path"] for error in answer.json["errors"]] == [path]
    assert "xxxx" not in str(answer.json)
    assert alice.read(given["sessionId"]).status == 404


def test_a_text_that_its_fields_make_too_long_is_refused(alice: User) -> None:
    template_id = made(alice)["templateId"]
    long = frame(1, image_url(alice.subject), storyTitle="{{place}}" * 20)
    answer = alice.save(
        with_template(alice, template_id, templateData={"what": "x", "place": "y" * 100}, frames=[long])
    )
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert answer.json["errors"][0]["path"] == "frames[0].storyTitle"


def test_what_neither_request_nor_template_has_is_named(alice: User) -> None:
    template_id = made(alice, storyboard={"style": "flat"})["templateId"]
    answer = alice.save(with_template(alice, template_id, templateData={"what": "x"}))
    assert answer.code == "validation_failed"
    assert [error["path"] for error in answer.json["errors"]] == ["originalPrompt", "videoDuration", "mood"]


def test_data_without_a_template_is_refused(alice: User) -> None:
    answer = alice.save(storyboard(alice.subject, 1, templateData={"what": "x"}))
    assert answer.json["errors"][0]["path"] == "templateData"


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"name": " "}, "name"),
        ({"name": "\0"}, "name"),
        ({"storyboard": {"prompt": "{{where}}"}}, "storyboard.prompt"),
        ({"storyboard": {"videoDuration": 0}}, "storyboard.videoDuration"),
        ({"video": {"aspect": "21:9"}}, "video.aspect"),
        ({"video": {"fps": 29.97}}, "video.fps"),
        ({"fields": {"properties": {"1st": {}}}}, "fields.properties.1st.[key]"),
        ({"fields": {"properties": {"what": {"type": "object"}}}}, "fields.properties.what.type"),
        ({"fields": {"properties": {"n": {"type": "integer", "default": "x"}}}}, "fields.properties.n"),
        ({"fields": {"properties": {"n": {"enum": ["a"], "default": "b"}}}}, "fields.properties.n"),
        ({"fields": {"properties": {"n": {"minLength": 10**30}}}}, "fields.properties.n.minLength"),
        ({"fields": {"properties": {"n": {"minimum": float("inf")}}}}, "fields.properties.n.minimum"),
        ({"fields": {"required": ["other"]}}, "fields"),
        ({"fields": {"properties": {f"f{n}": {} for n in range(51)}}}, "fields.properties"),
    ],
)
def test_a_template_that_could_not_work_is_refused(alice: User, changed: JsonObject, path: str) -> None:
    answer = make(alice, **changed)
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert path in [error["path"] for error in answer.json["errors"]]
    assert [one for one in listed(alice) if not one["builtIn"]] == []


@pytest.mark.parametrize(
    ("bounds", "fits", "does_not"),
    [
        ({"minimum": 0.5, "maximum": 2.5}, 1, 0),
        ({"minimum": 0.5, "maximum": 2.5}, 2, 3),
        ({"minimum": -1e300, "maximum": 1e300}, 0, "0"),
        ({"minimum": 1e-300}, 1, 0),
    ],
)
def test_bounds_of_whole_numbers_need_not_be_whole(
    alice: User, bounds: JsonObject, fits: int, does_not: object
) -> None:
    days = {"type": "integer", "default": fits, **bounds}
    template = made(alice, fields={"properties": {"days": days}}, storyboard=OWN["storyboard"] | {"prompt": "{{days}}"})
    given = with_template(alice, template["templateId"])
    assert alice.save(given | {"templateData": {"days": fits}}).status == 200
    assert alice.save(given | {"templateData": {"days": does_not}}).code == "invalid_template_data"


def test_an_idempotency_key_makes_one_template_only(alice: User) -> None:
    again = [alice.send("POST", "templates", OWN, headers={"Idempotency-Key": "k"}).json for _ in range(2)]
    assert again[0]["template"]["templateId"] == again[1]["template"]["templateId"]
    other = alice.send("POST", "templates", OWN | {"name": "x"}, headers={"Idempotency-Key": "k"})
    assert other.code == "idempotency_key_reused"
    assert len([one for one in listed(alice) if not one["builtIn"]]) == 1


def test_an_owner_has_a_hundred_at_most(alice: User, database: Database) -> None:
    database.execute(
        "insert into public.video_templates (user_id, name) select %s, 'n' from generate_series(1, 100)",
        (alice.subject,),
    )
    answer = make(alice)
    assert (answer.status, answer.code) == (403, "template_limit_reached")


def test_a_row_that_was_written_past_the_function_breaks_nothing(alice: User, database: Database) -> None:
    found = database.execute(
        "insert into public.video_templates (user_id, name, video, fields)"
        """ values (%s, 'odd', '{"fps": "many"}', '{"properties": 3}') returning template_id""",
        (alice.subject,),
    ).fetchone()
    assert found
    for answer in (alice.get("templates", templateId=found[0]), alice.save(with_template(alice, found[0]))):
        assert (answer.status, answer.code) == (422, "invalid_template")
    assert len(listed(alice)) >= 8
