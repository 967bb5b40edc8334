"""Beat jobs of this app."""

from celery import shared_task

from awfdrs_site.lib import clock
from events import conservation, partitions


@shared_task
def make_partitions(**_: object) -> None:
    partitions.make(now=clock.now())


@shared_task
def add_up_counts(**_: object) -> None:
    conservation.add_up()
