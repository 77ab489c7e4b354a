"""Every function and queue of the template is watched, and somebody is told: whatever is added to it later, too."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.template import Template, package
from shared.observability.metrics import NAMESPACE, UNITS

pytestmark = pytest.mark.timeout(600)

Alarm = dict[str, Any]


def alarms_on(template: Template, namespace: str, metric: str, thing: Any) -> list[Alarm]:
    """Return the alarms that hang on a metric of one function or queue, by what its dimension is."""
    found = []
    for one in template.of_type("AWS::CloudWatch::Alarm").values():
        alarm = one["Properties"]
        parts = [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part]
        for given in [alarm, *parts]:
            named = (given.get("Namespace"), given.get("MetricName"))
            if named == (namespace, metric) and [each["Value"] for each in given["Dimensions"]] == [thing]:
                found.append(alarm)
    return found


def functions(template: Template) -> dict[str, dict[str, Any]]:
    found = template.of_type("AWS::Lambda::Function").values()
    return {one["Properties"]["FunctionName"]: one["Properties"] for one in found}


def test_every_function_has_its_alarms(template: Template) -> None:
    assert functions(template)
    for name, settings in functions(template).items():
        [errors] = alarms_on(template, "AWS/Lambda", "Errors", name)
        [throttles] = alarms_on(template, "AWS/Lambda", "Throttles", name)
        [slow] = alarms_on(template, "AWS/Lambda", "Duration", name)
        assert errors["Threshold"] == throttles["Threshold"] == 1
        assert 0.8 * settings["Timeout"] * 1000 <= slow["Threshold"] < settings["Timeout"] * 1000
        assert slow["Statistic"] == "Maximum"


def test_every_function_with_a_url_has_one_for_its_answers(template: Template) -> None:
    names = {name for name in functions(template) if alarms_on(template, "AWS/Lambda", "Url5xxCount", name)}
    assert len(names) == len(template.of_type("AWS::Lambda::Url"))
    assert names <= functions(template).keys()


def test_every_queue_has_its_alarm(template: Template) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    dead = {
        one["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for one in queues.values()
        if "RedrivePolicy" in one["Properties"]
    }
    assert dead and dead < queues.keys()
    for key in queues:
        named = {"Fn::GetAtt": [key, "QueueName"]}
        if key in dead:
            [lying] = alarms_on(template, "AWS/SQS", "ApproximateNumberOfMessagesVisible", named)
            assert lying["Threshold"] == 1
            assert alarms_on(template, "AWS/SQS", "NumberOfMessagesReceived", named) == [lying]
        else:
            [age] = alarms_on(template, "AWS/SQS", "ApproximateAgeOfOldestMessage", named)
            assert age["Statistic"] == "Maximum"
            assert age["Threshold"] > 900, "messages are held back for so long on purpose"


def test_every_alarm_tells_the_topic_and_is_quiet_without_traffic(template: Template) -> None:
    alarms = [one["Properties"] for one in template.of_type("AWS::CloudWatch::Alarm").values()]
    assert len({one["AlarmName"] for one in alarms}) == len(alarms)
    for alarm in alarms:
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert alarm["AlarmDescription"].endswith(".")


def test_alarms_and_the_budget_may_tell_the_topic(template: Template) -> None:
    [policy] = template.of_type("AWS::SNS::TopicPolicy").values()
    statement = policy["Properties"]["PolicyDocument"]["Statement"]
    assert set(statement["Principal"]["Service"]) == {"cloudwatch.amazonaws.com", "budgets.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_a_budget_tells_before_it_is_spent_and_when_it_will_be(template: Template) -> None:
    [one] = template.of_type("AWS::Budgets::Budget").values()
    budget = one["Properties"]
    assert (budget["Budget"]["BudgetType"], budget["Budget"]["TimeUnit"]) == ("COST", "MONTHLY")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 50, "Unit": "USD"}
    told = {
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"])
        for each in budget["NotificationsWithSubscribers"]
    }
    assert told == {("ACTUAL", 80), ("FORECASTED", 100)}


def test_an_address_is_written_to_where_one_is_given(template: Template, tmp_path: Path) -> None:
    assert not template.of_type("AWS::SNS::Subscription")
    other = package(tmp_path, ALARM_EMAIL="ops@example.com", MONTHLY_BUDGET="120")
    [subscription] = other.of_type("AWS::SNS::Subscription").values()
    assert subscription["Properties"] == {
        "TopicArn": {"Ref": "AlarmTopic"},
        "Protocol": "email",
        "Endpoint": "ops@example.com",
    }
    [budget] = other.of_type("AWS::Budgets::Budget").values()
    assert budget["Properties"]["Budget"]["BudgetLimit"]["Amount"] == 120


def test_the_dashboard_shows_every_function_and_queue_by_metrics_that_exist(template: Template) -> None:
    [dashboard] = template.of_type("AWS::CloudWatch::Dashboard").values()
    text = dashboard["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(text)["widgets"]
    shown = [metric for one in widgets if one["type"] == "metric" for metric in one["properties"]["metrics"]]
    own = {metric[1] for metric in shown if metric[0] == NAMESPACE}
    assert own and own <= set(UNITS)
    assert {metric[3] for metric in shown if metric[:2] == ["AWS/Lambda", "Errors"]} == functions(template).keys()
    queues = {metric[3] for metric in shown if metric[0] == "AWS/SQS"}
    assert queues == {f"${{{key}.QueueName}}" for key in template.of_type("AWS::SQS::Queue")}
    [log] = [one["properties"]["query"] for one in widgets if one["type"] == "log"]
    for group in template.of_type("AWS::Logs::LogGroup").values():
        assert f"SOURCE '{group['Properties']['LogGroupName']}'" in log


def test_metrics_and_failures_name_the_stage(template: Template) -> None:
    for settings in functions(template).values():
        assert settings["Environment"]["Variables"]["STAGE"] == "dev"
        assert "SENTRY_DSN" in settings["Environment"]["Variables"]
