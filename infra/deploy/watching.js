// Who is told when something is wrong, and where to look: the alarms of every function and every queue of serverless.yml,
// a dashboard, and a budget. What is added there is watched without a word here.
"use strict";

const NEAR_TIMEOUT = 0.9;
const OLDEST_SECONDS = 1800; // longer than a rendering takes and a delivery waits in the queue
const ANSWERS = 5; // 5xx in five minutes

const topic = [{ Ref: "AlarmTopic" }];

const logical = (name) =>
  name.split("_").map((part) => part[0].toUpperCase() + part.slice(1)).join("");

const alarm = (name, description, more) => ({
  Type: "AWS::CloudWatch::Alarm",
  Properties: {
    AlarmName: name,
    AlarmDescription: description,
    Period: 300,
    EvaluationPeriods: 1,
    Threshold: 1,
    ComparisonOperator: "GreaterThanOrEqualToThreshold",
    TreatMissingData: "notBreaching",
    AlarmActions: topic,
    OKActions: topic,
    ...more,
  },
});

function alarmsOf(name, settings, defaults, prefix) {
  const of = (metric, statistic, more) => ({
    Namespace: "AWS/Lambda",
    MetricName: metric,
    Dimensions: [{ Name: "FunctionName", Value: `${prefix}-${name}` }],
    Statistic: statistic,
    ...more,
  });
  const timeout = settings.timeout ?? defaults.timeout;
  const key = logical(name);
  const full = (kind) => `${prefix}-${name}-${kind}`;
  return {
    [`${key}Errors`]: alarm(full("errors"), `${name} raised, or ran out of time or memory.`, of("Errors", "Sum")),
    [`${key}Throttles`]: alarm(full("throttles"), `${name} was asked more than it may run at once.`, of("Throttles", "Sum")),
    [`${key}Slow`]: alarm(
      full("slow"),
      `${name} took nearly as long as it may, ${timeout} s.`,
      of("Duration", "Maximum", { Threshold: Math.round(timeout * NEAR_TIMEOUT * 1000) }),
    ),
    ...(settings.url && {
      [`${key}Answers`]: alarm(
        full("answers"),
        `${name} answered with 5xx: its log says why, by requestId.`,
        of("Url5xxCount", "Sum", { Threshold: ANSWERS }),
      ),
    }),
  };
}

function alarmOf(key, queue) {
  const Dimensions = [{ Name: "QueueName", Value: { "Fn::GetAtt": [key, "QueueName"] } }];
  const name = queue.Properties.QueueName;
  const metric = (MetricName, Stat) => ({
    MetricStat: { Metric: { Namespace: "AWS/SQS", MetricName, Dimensions }, Period: 300, Stat },
    ReturnData: false,
  });
  if (!queue.Properties.RedrivePolicy) {
    // What a function takes from here at once may never be seen lying here.
    const Metrics = [
      { Id: "lying", ...metric("ApproximateNumberOfMessagesVisible", "Maximum") },
      { Id: "taken", ...metric("NumberOfMessagesReceived", "Sum") },
      { Id: "dead", Expression: "FILL(lying, 0) + FILL(taken, 0)", Label: "Dead letters", ReturnData: true },
    ];
    const { Period, ...whole } = alarm(`${name}-not-empty`, "Messages were given up after three tries.", { Metrics }).Properties;
    return { [`${key}NotEmpty`]: { Type: "AWS::CloudWatch::Alarm", Properties: whole } };
  }
  const Statistic = "Maximum";
  const age = { Namespace: "AWS/SQS", MetricName: "ApproximateAgeOfOldestMessage", Dimensions, Statistic, Threshold: OLDEST_SECONDS };
  return { [`${key}Age`]: alarm(`${name}-age`, "Work waits: workers fail, or there are too few.", age) };
}

function dashboard(functions, queues, prefix, stage) {
  const region = "${AWS::Region}";
  const graph = (title, metrics, more) => ({
    type: "metric",
    width: 12,
    height: 6,
    properties: { title, metrics, region, view: "timeSeries", period: 300, stat: "Sum", ...more },
  });
  const names = Object.keys(functions);
  const ofFunctions = (metric) => names.map((name) => ["AWS/Lambda", metric, "FunctionName", `${prefix}-${name}`, { label: name }]);
  const ofQueues = (metric, keys) => keys.map((key) => ["AWS/SQS", metric, "QueueName", "${" + key + ".QueueName}", { label: key }]);
  const measured = (metric) => names.map((name) => ["Videomaker", metric, "function", name, "stage", stage, { label: name }]);
  const isDead = (key) => !queues[key].Properties.RedrivePolicy;
  const keys = Object.keys(queues);
  const widgets = [
    graph("Invocations", ofFunctions("Invocations"), { stacked: true }),
    graph("Raised, out of time or memory", ofFunctions("Errors")),
    graph("Answers of 5xx and failed messages", measured("Errors")),
    graph("Answers of 4xx", measured("Refused")),
    graph("Duration, p50", ofFunctions("Duration"), { stat: "p50" }),
    graph("Duration, p95", ofFunctions("Duration"), { stat: "p95" }),
    graph("Database, p95", measured("Db"), { stat: "p95" }),
    graph("Storage, p95", measured("Storage"), { stat: "p95" }),
    graph("Cold starts", measured("ColdStart"), { stacked: true }),
    graph("Throttled", ofFunctions("Throttles")),
    graph("Bytes in", measured("BytesIn"), { stacked: true }),
    graph("Seconds of rendering and merging", [
      ["Videomaker", "RenderTime", "function", "render_clip", "stage", stage],
      ["Videomaker", "MergeTime", "function", "merge_clips", "stage", stage],
    ]),
    graph("Age of the oldest message", ofQueues("ApproximateAgeOfOldestMessage", keys.filter((key) => !isDead(key))), { stat: "Maximum" }),
    graph("Dead letters", ofQueues("ApproximateNumberOfMessagesVisible", keys.filter(isDead)), { stat: "Maximum" }),
    {
      type: "log",
      width: 24,
      height: 8,
      properties: {
        title: "Latest failures: look for their requestId in all of these logs",
        region,
        view: "table",
        query:
          names.map((name) => `SOURCE '/aws/lambda/${prefix}-${name}'`).join(" | ") +
          " | fields time, function, event, code, error, requestId | filter level = 'ERROR' | sort @timestamp desc | limit 50",
      },
    },
  ];
  return {
    Type: "AWS::CloudWatch::Dashboard",
    Properties: { DashboardName: prefix, DashboardBody: { "Fn::Sub": JSON.stringify({ widgets }) } },
  };
}

function budget(prefix, limit) {
  const told = (type, percent) => ({
    Notification: { NotificationType: type, ComparisonOperator: "GREATER_THAN", Threshold: percent, ThresholdType: "PERCENTAGE" },
    Subscribers: [{ SubscriptionType: "SNS", Address: { Ref: "AlarmTopic" } }],
  });
  return {
    Type: "AWS::Budgets::Budget",
    DependsOn: "AlarmTopicPolicy", // it is asked whether it may publish
    Properties: {
      Budget: {
        BudgetName: prefix,
        BudgetType: "COST",
        TimeUnit: "MONTHLY",
        BudgetLimit: { Amount: Number(limit), Unit: "USD" },
      },
      NotificationsWithSubscribers: [told("ACTUAL", 80), told("FORECASTED", 100)],
    },
  };
}

function topicOf(prefix, email) {
  return {
    AlarmTopic: { Type: "AWS::SNS::Topic", Properties: { TopicName: `${prefix}-alarms` } },
    AlarmTopicPolicy: {
      Type: "AWS::SNS::TopicPolicy",
      Properties: {
        Topics: topic,
        PolicyDocument: {
          Version: "2012-10-17",
          Statement: {
            Effect: "Allow",
            Principal: { Service: ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] },
            Action: "sns:Publish",
            Resource: topic[0],
            Condition: { StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } } },
          },
        },
      },
    },
    ...(email && {
      AlarmSubscription: {
        Type: "AWS::SNS::Subscription",
        Properties: { TopicArn: topic[0], Protocol: "email", Endpoint: email },
      },
    }),
  };
}

module.exports = async ({ resolveVariable }) => {
  const [service, stage, functions, defaults, resources, { email, monthlyBudget }] = await Promise.all(
    ["self:service", "sls:stage", "self:functions", "self:provider", "self:resources.0.Resources", "self:custom.watching"].map(resolveVariable),
  );
  const queues = Object.fromEntries(Object.entries(resources).filter(([, one]) => one.Type === "AWS::SQS::Queue"));
  const prefix = `${service}-${stage}`;
  const named = (alarms) => Object.assign({}, ...alarms);
  return {
    Resources: {
      ...topicOf(prefix, email),
      ...named(Object.entries(functions).map(([name, settings]) => alarmsOf(name, settings, defaults, prefix))),
      ...named(Object.entries(queues).map(([key, queue]) => alarmOf(key, queue))),
      Dashboard: dashboard(functions, queues, prefix, stage),
      Budget: budget(prefix, monthlyBudget),
    },
  };
};
