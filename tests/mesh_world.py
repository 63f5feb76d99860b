"""Makes registries to draw: a shop's mesh with every kind of problem, and large ones."""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fleet  # noqa: F401  puts the members' package `mesh` on the path
from dbtmesh.manifest.extract import extract
from tests.manifests import manifest, model

ENV = "prod"
NOW = datetime.now(UTC).replace(microsecond=0)

# project: what it publishes; a name with options, and its columns
SHOP: dict[str, dict[str, list[str]]] = {
    "crm": {
        "customers.v1": ["customer_id", "email", "full_name", "country"],
        "customers.v2": ["customer_id", "email_hash", "country_code", "segment", "created_at"],
        "customer_segments": ["customer_id", "segment", "valid_from"],
        "campaign_contacts": ["campaign_id", "customer_id", "sent_at"],
    },
    "shop": {
        "orders": ["order_id", "customer_id", "ordered_at", "status", "gross_amount", "discount"],
        "order_lines": ["order_id", "product_id", "quantity", "net_amount"],
        "products": ["product_id", "name", "category", "price"],
        "returns": ["return_id", "order_id", "reason"],
    },
    "web": {
        "sessions": ["session_id", "customer_id", "started_at", "channel"],
        "page_views": ["session_id", "path", "seen_at"],
    },
    "warehouse_ops": {
        "shipments": ["shipment_id", "order_id", "shipped_at", "carrier"],
        "stock_levels": ["product_id", "site", "quantity"],
    },
    "finance": {
        "revenue_daily": ["day", "country_code", "net_revenue"],
        "margins": ["product_id", "margin"],
    },
    "customer_360": {
        "customer_profile": ["customer_id", "segment", "lifetime_value", "last_seen"],
        "churn_features": ["customer_id", "orders_90d", "sessions_90d"],
    },
    "marketing": {},
    "executive_board": {},
    "recommendations": {},
}
OWNERS = {"crm": "crm", "shop": "commerce", "web": "growth", "warehouse_ops": "logistics"}
OWNERS |= {"finance": "controlling", "customer_360": "data-platform"}
WITHOUT_CONTRACT = {"page_views", "stock_levels"}
DEPRECATED = {"customers.v1": 38, "margins": 120}
# consumer: which columns it reads of which upstream, and the nodes that read them
READS: dict[str, dict[str, dict[str, list[str]]]] = {
    "finance": {
        "shop": {
            "orders": ["revenue_daily"],
            "order_lines": ["revenue_daily", "margins"],
            "returns": ["stg_returns"],
        },
        "crm": {"customers.v2": ["revenue_daily"]},
        "warehouse_ops": {"shipment_costs": ["stg_shipping"]},
    },
    "customer_360": {
        "crm": {"customers.v1": ["customer_profile"], "customer_segments": ["customer_profile"]},
        "shop": {"orders": ["customer_profile", "churn_features"]},
        "web": {"sessions": ["customer_profile", "churn_features"]},
    },
    "marketing": {
        "customer_360": {"customer_profile": ["campaign_audience"]},
        "crm": {"campaign_contacts": ["campaign_results"]},
    },
    "executive_board": {
        "finance": {"revenue_daily": ["board_kpis"], "margins": ["board_kpis"]},
        "customer_360": {"customer_profile": ["board_kpis"]},
    },
    "recommendations": {
        "customer_360": {"churn_features": ["retention_scores"]},
        "shop": {"products": ["similar_products"], "order_lines": ["similar_products"]},
    },
}
# project: private models, and public ones that read them, each with what it reads of the project
PRIVATE: dict[str, dict[str, list[str]]] = {
    "finance": {
        "stg_returns": [],
        "int_net_revenue": ["stg_returns"],
        "revenue_daily": ["int_net_revenue"],
    },
    "shop": {
        "int_baskets": ["orders"],
        "int_valued_baskets": ["int_baskets"],
        "order_lines": ["int_valued_baskets"],
    },
}
# by reader that is not public: the public models that are built on it
FEEDS = {"finance": {"stg_returns": ["revenue_daily"]}}


def unique_id(project: str, name: str) -> str:
    return f"model.{project}.{name}"


def shop(root: Path) -> Path:
    """Writes nine projects: versions, hubs; deprecated, missing, unused, uncontracted models."""
    for project, models in SHOP.items():
        if models:
            write(root, project, "latest/manifest.json", _publication(project, models))
    for consumer, upstreams in READS.items():
        for upstream, reads in upstreams.items():
            write(
                root,
                upstream,
                f"consumers/{consumer}.json",
                json.dumps(_record(consumer, upstream, reads)),
            )
    return root


def _publication(project: str, models: dict[str, list[str]]) -> bytes:
    nodes: dict[str, Any] = {}
    for name, columns in models.items():
        node = public(project, name, columns)
        node["group"] = OWNERS[project]
        node["config"]["group"] = OWNERS[project]
        nodes[node["unique_id"]] = node
    for name, parents in PRIVATE.get(project, {}).items():
        node = nodes.setdefault(
            unique_id(project, name), model(project, name, columns=0, adapter="snowflake")
        )
        node["depends_on"]["nodes"] = [unique_id(project, parent) for parent in parents]
    document = json.loads(manifest(project, models=0, public=0, adapter="snowflake", nodes=nodes))
    built = NOW - timedelta(hours=3 + 29 * list(SHOP).index(project))
    document["metadata"]["generated_at"] = f"{built:%Y-%m-%dT%H:%M:%S}.000000Z"
    document["groups"] = {
        f"group.{project}.{OWNERS[project]}": {
            "name": OWNERS[project],
            "resource_type": "group",
            "package_name": project,
            "path": "models/_groups.yml",
            "original_file_path": "models/_groups.yml",
            "unique_id": f"group.{project}.{OWNERS[project]}",
            "owner": {"name": f"Team {OWNERS[project]}", "email": f"{OWNERS[project]}@example.com"},
        }
    }
    return extract(json.dumps(document).encode(), project, commit="4f1c2a9e7b").body


def public(project: str, name: str, columns: list[str]) -> dict[str, Any]:
    """Returns a public model. `name` may include a version (`customers.v2`, the latest of two)."""
    stem, _, version = name.partition(".v")
    node = model(project, stem, columns=0, adapter="snowflake")
    node |= {"access": "public", "unique_id": unique_id(project, name)}
    node["config"]["access"] = "public"
    node["description"] = f"One row for each of {stem.replace('_', ' ')}, as {project} knows it."
    enforced = stem not in WITHOUT_CONTRACT
    node["contract"]["enforced"] = node["config"]["contract"]["enforced"] = enforced
    if version:
        node |= {"version": int(version), "latest_version": 2}
        node["relation_name"] += f"_v{version}"
    if name in DEPRECATED:
        node["deprecation_date"] = (NOW + timedelta(days=DEPRECATED[name])).isoformat()
    node["columns"] = {
        column: {
            "name": column,
            "description": f"{column.replace('_', ' ').capitalize()}.",
            "data_type": "timestamp_ntz" if column.endswith("_at") else "varchar(200)",
            "constraints": [{"type": "not_null"}] if number == 0 else [],
        }
        for number, column in enumerate(columns)
    }
    return node


def _record(consumer: str, upstream: str, reads: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "consumer": consumer,
        "kind": "loom" if consumer == "recommendations" else "native",
        "env": ENV,
        "recorded_at": f"{NOW - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
        "owner": f"team-{consumer}",
        "repository": f"acme/{consumer}",
        "read_version": "an older one",
        "reads": [
            {
                "model": unique_id(upstream, name),
                "name": name.partition(".")[0],
                "columns": SHOP[upstream].get(name, [])[:2] or None,
                "by": [unique_id(consumer, node) for node in by],
                "since": "2026-03-02T08:00:00Z",
            }
            for name, by in reads.items()
        ],
        "feeds": {
            unique_id(consumer, reader): [unique_id(consumer, name) for name in fed]
            for reader, fed in FEEDS.get(consumer, {}).items()
            if any(reader in by for by in reads.values())
        },
    }


def write(root: Path, project: str, key: str, body: bytes | str) -> None:
    path = root / project / ENV / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body if isinstance(body, bytes) else body.encode())


def large(root: Path, *, projects: int = 50, models: int = 1000, columns: int = 10) -> Path:
    """Writes `projects` projects in five layers, each of which reads eight models of four others.

    All of them have the interface of the first under another name, which is quick to write.
    """
    name = "team_{:02}".format
    first = manifest(name(0), models=models, public=models, columns=columns, adapter="snowflake")
    # each would need another digest, and an interface without one is valid
    body = re.sub(rb',"DBT_MESH_DIGEST":"[0-9a-f]{64}"', b"", extract(first, name(0)).body)
    chance = random.Random(7)
    for number in range(projects):
        renamed = body.replace(name(0).encode(), name(number).encode())
        renamed = renamed.replace(name(0).upper().encode(), name(number).upper().encode())
        write(root, name(number), "latest/manifest.json", renamed)
        layer = projects // 5
        before = range(max(0, number // layer * layer - layer), number // layer * layer)
        for upstream in chance.sample(before, min(4, len(before))):
            reads = [
                {
                    "model": unique_id(name(upstream), f"public_{read}"),
                    "name": f"public_{read}",
                    "columns": ["column_0", "column_1"],
                    "by": [unique_id(name(number), f"public_{chance.randrange(models)}")],
                }
                for read in chance.sample(range(models), min(8, models))
            ]
            record = {"consumer": name(number), "kind": "native", "env": ENV, "reads": reads}
            write(root, name(upstream), f"consumers/{name(number)}.json", json.dumps(record))
    return root
