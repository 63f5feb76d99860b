"""Keys and SQL that many tests of the stand-in, and many that use it, need."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(frozen=True)
class Key:
    """An RSA key pair: what a client signs with, and what ``RSA_PUBLIC_KEY`` takes."""

    private_pem: str
    private_der: bytes
    public: str


@cache
def rsa_key(name: str = "default", bits: int = 2048) -> Key:
    """Returns a key pair for tests; the same name gives the same pair in one run."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    der, pem = (
        private.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        for encoding in (serialization.Encoding.DER, serialization.Encoding.PEM)
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Key(pem.decode(), der, base64.b64encode(public).decode())


def producer_sql(prefix: str = "UP", public_key: str | None = None) -> str:
    """Returns SQL for a producer like the template's: deploy role, dev role and a reader."""
    key = f"RSA_PUBLIC_KEY = '{public_key or rsa_key().public}'"
    return f"""
        USE ROLE USERADMIN;
        CREATE ROLE {prefix}_ROLE;
        CREATE ROLE {prefix}_DEV_ROLE;
        CREATE ROLE {prefix}_READER;
        CREATE USER {prefix}_SVC TYPE = SERVICE DEFAULT_ROLE = {prefix}_ROLE
            DEFAULT_WAREHOUSE = {prefix}_WH DEFAULT_SECONDARY_ROLES = () {key};
        CREATE USER {prefix}_CI_SVC TYPE = SERVICE DEFAULT_ROLE = {prefix}_DEV_ROLE
            DEFAULT_WAREHOUSE = {prefix}_WH DEFAULT_SECONDARY_ROLES = () {key};
        USE ROLE SYSADMIN;
        CREATE WAREHOUSE {prefix}_WH WITH WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60;
        CREATE DATABASE {prefix}_PROD;
        CREATE DATABASE {prefix}_DEV;
        CREATE SCHEMA {prefix}_PROD.MARTS WITH MANAGED ACCESS;
        CREATE DATABASE ROLE {prefix}_PROD.PUBLIC_READ;
        USE ROLE SECURITYADMIN;
        GRANT ROLE {prefix}_ROLE TO ROLE SYSADMIN;
        GRANT ROLE {prefix}_ROLE TO USER {prefix}_SVC;
        GRANT ROLE {prefix}_DEV_ROLE TO USER {prefix}_CI_SVC;
        GRANT USAGE, OPERATE ON WAREHOUSE {prefix}_WH TO ROLE {prefix}_ROLE;
        GRANT USAGE ON WAREHOUSE {prefix}_WH TO ROLE {prefix}_DEV_ROLE;
        GRANT USAGE ON WAREHOUSE {prefix}_WH TO ROLE {prefix}_READER;
        GRANT USAGE, MONITOR, CREATE SCHEMA ON DATABASE {prefix}_PROD TO ROLE {prefix}_ROLE;
        GRANT USAGE, CREATE SCHEMA ON DATABASE {prefix}_DEV TO ROLE {prefix}_DEV_ROLE;
        GRANT USAGE ON SCHEMA {prefix}_PROD.MARTS TO DATABASE ROLE {prefix}_PROD.PUBLIC_READ;
        GRANT OWNERSHIP ON SCHEMA {prefix}_PROD.MARTS TO ROLE {prefix}_ROLE COPY CURRENT GRANTS;
        GRANT DATABASE ROLE {prefix}_PROD.PUBLIC_READ TO ROLE {prefix}_READER;
        GRANT USAGE ON DATABASE {prefix}_PROD TO ROLE {prefix}_DEV_ROLE;
        GRANT USAGE ON SCHEMA {prefix}_PROD.MARTS TO ROLE {prefix}_DEV_ROLE;
        USE ROLE ACCOUNTADMIN;
        GRANT SELECT ON FUTURE TABLES IN SCHEMA {prefix}_PROD.MARTS TO ROLE {prefix}_DEV_ROLE;
        GRANT SELECT ON FUTURE VIEWS IN SCHEMA {prefix}_PROD.MARTS TO ROLE {prefix}_DEV_ROLE;
    """
