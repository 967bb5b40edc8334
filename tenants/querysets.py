"""Querysets of tenant-owned models: `for_tenant` first, and an error where nobody said whose rows are meant."""

from typing import Any, Self, TypeVar
from uuid import UUID

from django.db import models

from tenants import scoping

M = TypeVar("M", bound=models.Model, covariant=True)


class TenantQuerySet(models.QuerySet[M]):
    """Raises UnscopedQuery when it runs outside every block without `for_tenant`.

    Inside a block Postgres filters by itself (the second wall); outside one it would answer "permission denied",
    which is just as safe and says less.
    """

    _tenant_id: UUID | None = None

    def for_tenant(self, tenant: Any) -> Self:
        """Only the rows of `tenant` (a Tenant, anything with its id, or the id)."""
        tenant_id: UUID = getattr(tenant, "id", tenant)
        scoped = self.filter(tenant_id=tenant_id)
        scoped._tenant_id = tenant_id
        return scoped

    @property
    def tenant_id(self) -> UUID:
        """Whose rows these are, for reads that go along. Raises UnscopedQuery when nobody said."""
        if self._tenant_id is None:
            raise scoping.UnscopedQuery(f"{self.model.__name__}: say for_tenant(...) first")
        return self._tenant_id

    def _clone(self) -> Self:
        clone: Self = super()._clone()  # type: ignore[misc]
        clone._tenant_id = self._tenant_id
        return clone

    def _demand_scope(self) -> None:
        if self._tenant_id is None and scoping.current() is None:
            raise scoping.UnscopedQuery(f"{self.model.__name__}: say for_tenant(...) first")

    def _fetch_all(self) -> None:
        self._demand_scope()
        super()._fetch_all()

    def iterator(self, *args: Any, **kwargs: Any) -> Any:
        self._demand_scope()
        return super().iterator(*args, **kwargs)

    def count(self) -> int:
        self._demand_scope()
        return super().count()

    def exists(self) -> bool:
        self._demand_scope()
        return super().exists()

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self._demand_scope()
        return super().aggregate(*args, **kwargs)

    def update(self, **kwargs: Any) -> int:
        self._demand_scope()
        return super().update(**kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        self._demand_scope()
        return super().delete()
