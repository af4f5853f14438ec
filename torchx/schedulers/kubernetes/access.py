"""Finds the cluster, and opens a client for it that never waits for ever.

An explicit ``KUBECONFIG`` comes first, then the service account of the pod that this process runs
in, then the default kubeconfig.
"""

from __future__ import annotations

import inspect
import ipaddress
import os
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration, CustomObjectsApi

CONNECT_TIMEOUT_S = 10.0
"""Longest time to reach the API server, in seconds."""

READ_TIMEOUT_S = 60.0
"""Longest silence of the API server while it owes an answer, in seconds."""

POOLED_CONNECTIONS = 80
"""How many connections are kept: more than logs are followed at once."""

NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
"""Where a pod finds the name of its namespace."""

_PUBLISHED_CALLS = (
    "get_namespaced_custom_object",
    "get_namespaced_custom_object_status",
    "list_namespaced_custom_object",
    "replace_namespaced_custom_object_status",
    "delete_namespaced_custom_object",
)
_CAUSE = "_torchx_load_error"


def load_client(context: str | None = None) -> ApiClient:
    """Opens a client for the cluster that the environment names.

    Args:
        context: Context of the kubeconfig; ``None`` is its current one.

    Returns:
        The client. If no configuration can be loaded, a warning is issued, the client is not
        configured, and :func:`load_error` tells why.
    """
    from kubernetes import client

    configuration = client.Configuration()
    error = _load(configuration, context)
    if error is not None:
        warnings.warn(f"failed to load kube config: {error}", stacklevel=3)
        # Some versions of the client have no host at all, of which another library complains.
        configuration.host = configuration.host or "http://localhost"
    else:
        configuration.proxy = proxy_for(configuration.host, configuration.proxy)
    configuration.connection_pool_maxsize = POOLED_CONNECTIONS
    api_client = client.ApiClient(configuration)
    set_timeouts(api_client)
    setattr(api_client, _CAUSE, error)
    return api_client


def load_error(api_client: object) -> Exception | None:
    """Tells why no configuration was found for a client.

    Args:
        api_client: The client.

    Returns:
        The error; ``None`` if it is configured, or was made by somebody else.
    """
    error: Exception | None = vars(api_client).get(_CAUSE)
    return error


def is_original(api: CustomObjectsApi) -> bool:
    """Tells whether the published calls about custom objects are those of the client library.

    Args:
        api: What makes them.

    Returns:
        False if somebody has put something in their place.
    """
    return all(inspect.ismethod(getattr(api, name, None)) for name in _PUBLISHED_CALLS)


def is_configured(api_client: object) -> bool:
    """Tells whether a client leads to a cluster.

    Args:
        api_client: The client, or what stands for one.

    Returns:
        False for one without configuration and for what is no client.
    """
    from kubernetes.client import ApiClient, Configuration

    if not isinstance(api_client, ApiClient) or load_error(api_client) is not None:
        return False
    host: str = api_client.configuration.host
    return bool(host) and host not in ("http://localhost", Configuration().host)


def set_timeouts(api_client: ApiClient) -> None:
    """Bounds every call of a client that brings no timeout of its own.

    Args:
        api_client: The client; doing it again changes nothing.
    """
    from urllib3 import Timeout

    pool = api_client.rest_client.pool_manager
    if "request" in vars(pool):
        return
    send = pool.request
    bound = Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S)

    def request(*args: Any, timeout: Any = None, **kwargs: Any) -> Any:
        return send(*args, timeout=bound if timeout is None else timeout, **kwargs)

    pool.request = request


def active_context(context: str | None = None) -> dict[str, Any]:
    """Reads a context of the kubeconfig.

    Args:
        context: Its name; ``None`` is the current one.

    Returns:
        The context, as the kubeconfig has it.

    Raises:
        ConfigException: There is no kubeconfig, or no such context.
    """
    from kubernetes import config

    contexts, current = config.list_kube_config_contexts(**_kubeconfig())
    if context is None:
        found: dict[str, Any] = current
        return found
    for entry in contexts:
        if entry.get("name") == context:
            return dict(entry)
    raise config.ConfigException(
        f"the kubeconfig has no context `{context}`, only"
        f" {', '.join(sorted(entry['name'] for entry in contexts))}"
    )


def pod_namespace() -> str | None:
    """Names the namespace of the pod that this process runs in.

    Returns:
        The namespace; ``None`` outside of pods.
    """
    try:
        with open(NAMESPACE_FILE, encoding="utf-8") as file:
            return file.read().strip() or None
    except OSError:
        return None


def proxy_for(host: str, configured: str | None) -> str | None:
    """Chooses the proxy for an API server, as other programs of the machine do.

    Args:
        host: URL of the API server.
        configured: Proxy that the client's configuration has.

    Returns:
        URL of the proxy; ``None`` for a direct connection.
    """
    from urllib.request import getproxies, proxy_bypass

    url = urlsplit(host)
    proxies = getproxies()
    if configured and configured not in proxies.values():
        return configured  # by the kubeconfig
    name = url.hostname or ""
    if proxy_bypass(name) or _is_in_excluded_network(name, proxies.get("no", "")):
        return None
    return proxies.get(url.scheme)


def _kubeconfig() -> dict[str, str]:
    """The client library reads the variable only once, when it is imported."""
    path = os.environ.get("KUBECONFIG")
    return {"config_file": path} if path else {}


def _load(configuration: Configuration, context: str | None) -> Exception | None:
    import yaml
    from kubernetes import config

    def in_cluster() -> None:
        config.load_incluster_config(client_configuration=configuration)

    def kubeconfig() -> None:
        config.load_kube_config(
            client_configuration=configuration, context=context, **_kubeconfig()
        )

    is_explicit = context is not None or os.environ.get("KUBECONFIG")
    error: Exception | None = None
    for load in (kubeconfig, in_cluster) if is_explicit else (in_cluster, kubeconfig):
        try:
            load()
        except (config.ConfigException, yaml.YAMLError) as failure:
            if error is None or load is kubeconfig:
                error = failure
            continue
        return None
    paths = os.environ.get("KUBECONFIG", "")
    if paths and not any(os.path.exists(path) for path in paths.split(os.pathsep)):
        missing: Exception = config.ConfigException(
            f"KUBECONFIG names `{paths}`, which does not exist"
        )
        return missing
    return error


def _is_in_excluded_network(name: str, excluded: str) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    for item in excluded.split(","):
        try:
            network = ipaddress.ip_network(item.strip(), strict=False)
        except ValueError:
            continue
        if address.version == network.version and address in network:
            return True
    return False
