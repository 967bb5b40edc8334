"""What we do about it, in rows: actions and attempts, permissions, campaigns, and who is told."""

from actions.models.action import Action, Attempt
from actions.models.approval import Approval, ApprovalVote
from actions.models.campaign import Campaign, CampaignRun
from actions.models.escalation import Escalation, EscalationPolicy, EscalationStep
from actions.models.simulation import Simulation
from actions.models.telling import Channel, Delivery, PlatformChannel, Ticket

__all__ = [
    "Action",
    "Approval",
    "ApprovalVote",
    "Attempt",
    "Campaign",
    "CampaignRun",
    "Channel",
    "Delivery",
    "Escalation",
    "EscalationPolicy",
    "EscalationStep",
    "PlatformChannel",
    "Simulation",
    "Ticket",
]
