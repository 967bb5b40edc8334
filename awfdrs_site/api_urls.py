"""Every route of the API, under /api/v1; each answers with and without the trailing slash."""

from django.urls import URLPattern, path

from actions import api as actions
from actions import approval_api as approvals
from actions import campaign_api as campaigns
from actions import explain, holding
from actions import workflow_api as workflows
from actions.asking_api import IncidentActionsAsked
from actions.canary_api import ActionCanary
from actions.compensation_api import ActionCompensate
from actions.delivery_api import Deliveries, DeliveryResend
from actions.escalation_api import IncidentEscalations
from actions.explain_api import RunExplain
from actions.outlook import ABOVE
from actions.simulation_api import OneSimulation, RulesSimulate
from awfdrs_site import health
from events import quarantine_api as quarantine
from events.api import EventBatch
from incidents import api as incidents
from incidents import bulk_api as bulk
from incidents import feedback_api as feedback
from incidents import merge_api as merging
from incidents import run_api as runs
from incidents import triage_api as triage
from incidents.change_api import Changes
from incidents.decision_api import DecisionDetail
from incidents.outcome_api import OutcomeRules
from safety import api as safety
from safety.rule_api import RulesExport, RulesImport
from tenants.audit_api import Audit

canonical: list[URLPattern] = [
    path("health", health.Health.as_view(), name="health"),
    path("health/ready", health.Ready.as_view(), name="health-ready"),
    path("health/pipeline", health.Pipeline.as_view(), name="health-pipeline"),
    path("events", incidents.Events.as_view(), name="events"),
    path("events/batch", EventBatch.as_view(), name="event-batch"),
    path("events/<id:pk>", incidents.EventDetail.as_view(), name="event"),
    path("quarantine", quarantine.Quarantine.as_view(), name="quarantine"),
    path("quarantine/<id:pk>", quarantine.QuarantinedDetail.as_view(), name="quarantined"),
    path("quarantine/<id:pk>/replay", quarantine.QuarantineReplay.as_view()),
    path("incidents", incidents.Incidents.as_view(above=ABOVE), name="incidents"),
    path(
        "incidents/<id:pk>",
        incidents.IncidentDetail.as_view(above=ABOVE, explain=explain.of_incident),
        name="incident",
    ),
    path("incidents/<id:pk>/events", incidents.IncidentEvents.as_view()),
    path("incidents/<id:pk>/decisions", incidents.IncidentDecisions.as_view()),
    path("incidents/<id:pk>/timeline", incidents.IncidentTimeline.as_view()),
    path("incidents/<id:pk>/runs", runs.IncidentRuns.as_view()),
    path("incidents/<id:pk>/similar", incidents.IncidentSimilar.as_view()),
    path("incidents/<id:pk>/status", incidents.IncidentStatus.as_view()),
    path("incidents/<id:pk>/ignore", incidents.IncidentIgnore.as_view()),
    path("incidents/<id:pk>/acknowledge", triage.IncidentAcknowledge.as_view()),
    path("incidents/bulk", bulk.IncidentsBulk.as_view(above=ABOVE)),
    path("bulk/<id:pk>", bulk.Bulk.as_view(), name="bulk"),
    path("bulk/<id:pk>/undo", bulk.BulkUndo.as_view()),
    path("incidents/<id:pk>/assign", triage.IncidentAssign.as_view()),
    path("incidents/<id:pk>/snooze", triage.IncidentSnooze.as_view()),
    path("incidents/<id:pk>/wake", triage.IncidentWake.as_view()),
    path("incidents/<id:pk>/comment", triage.IncidentComment.as_view()),
    path("incidents/<id:pk>/undo", triage.IncidentUndo.as_view()),
    path("incidents/<id:pk>/escalate", incidents.IncidentEscalate.as_view()),
    path("incidents/<id:pk>/reopen", incidents.IncidentReopen.as_view()),
    path("incidents/<id:pk>/merge", merging.IncidentMerge.as_view()),
    path("incidents/<id:pk>/split", merging.IncidentSplit.as_view()),
    path("incidents/<id:pk>/actions", IncidentActionsAsked.as_view()),
    path("incidents/<id:pk>/escalations", IncidentEscalations.as_view()),
    path("incidents/<id:pk>/category", feedback.IncidentCategory.as_view()),
    path("incidents/<id:pk>/fixed", feedback.IncidentFixed.as_view()),
    path("incidents/<id:pk>/recommendation", feedback.IncidentRecommendation.as_view()),
    path("reliability", feedback.Reliability.as_view(), name="reliability"),
    path("decisions/<id:pk>", DecisionDetail.as_view(), name="decision"),
    path("runs", runs.Runs.as_view(), name="runs"),
    path("runs/<id:pk>", runs.RunDetail.as_view(), name="run"),
    path("runs/<id:pk>/explain", RunExplain.as_view()),
    path("runs/<id:pk>/waive", runs.RunWaive.as_view()),
    path("actions", actions.Actions.as_view(), name="actions"),
    path("actions/<id:pk>", actions.ActionDetail.as_view(), name="action"),
    path("actions/<id:pk>/approve", actions.ActionApprove.as_view()),
    path("actions/<id:pk>/reject", actions.ActionReject.as_view()),
    path("actions/<id:pk>/skip", actions.ActionSkip.as_view()),
    path("actions/<id:pk>/run", actions.ActionRun.as_view()),
    path("actions/<id:pk>/reverse", actions.ActionReverse.as_view()),
    path("approvals", approvals.Approvals.as_view(), name="approvals"),
    path("approvals/<id:pk>", approvals.ApprovalDetail.as_view(), name="approval"),
    path("approvals/<id:pk>/approve", approvals.ApprovalApprove.as_view()),
    path("approvals/<id:pk>/reject", approvals.ApprovalReject.as_view()),
    path("campaigns", campaigns.Campaigns.as_view(), name="campaigns"),
    path("campaigns/<id:pk>", campaigns.CampaignDetail.as_view(), name="campaign"),
    path("campaigns/<id:pk>/runs", campaigns.CampaignRuns.as_view()),
    path("campaigns/<id:pk>/start", campaigns.CampaignStart.as_view()),
    path("campaigns/<id:pk>/pause", campaigns.CampaignPause.as_view()),
    path("campaigns/<id:pk>/resume", campaigns.CampaignResume.as_view()),
    path("campaigns/<id:pk>/abort", campaigns.CampaignAbort.as_view()),
    path("actions/<id:pk>/canary", ActionCanary.as_view()),
    path("actions/<id:pk>/compensate", ActionCompensate.as_view()),
    path("deliveries", Deliveries.as_view(), name="deliveries"),
    path("deliveries/<id:pk>/resend", DeliveryResend.as_view()),
    path("audit", Audit.as_view(), name="audit"),
    path("workflows", actions.Workflows.as_view(), name="workflows"),
    path("workflows/<id:pk>/rotate-secret", workflows.WorkflowRotateSecret.as_view()),
    path("workflows/<id:pk>/test", workflows.WorkflowTest.as_view()),
    path("vendors", safety.Vendors.as_view(), name="vendors"),
    path("vendors/<id:pk>/breaker", safety.VendorBreaker.as_view()),
    path("kill-switches", safety.KillSwitches.as_view(above=holding.ABOVE), name="kill-switches"),
    path("kill-switches/<id:pk>/lift", safety.KillSwitchLift.as_view(above=holding.ABOVE)),
    path("changes", Changes.as_view(), name="changes"),
    path("outcome-rules", OutcomeRules.as_view(), name="outcome-rules"),
    path("rules/effective", safety.EffectiveRules.as_view(), name="rules-effective"),
    path("rules/export", RulesExport.as_view(), name="rules-export"),
    path("rules/import", RulesImport.as_view(), name="rules-import"),
    path("rules/simulate", RulesSimulate.as_view(), name="rules-simulate"),
    path("rules/simulations/<id:pk>", OneSimulation.as_view(), name="rules-simulation"),
]
# The same views again, not a redirect: a POST would lose its body.
slashed = [path(f"{route.pattern}/", route.callback) for route in canonical]

app_name = "api"
urlpatterns = [*canonical, *slashed]
