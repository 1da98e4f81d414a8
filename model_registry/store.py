"""The registry of versions, in MLflow: what was built, and where MLflow's page shows it.

A registry row is a hint. The bundle's digest is a tag of its version, `fetch` downloads into a
private directory and accepts only a bundle with that digest, and nothing here runs the code
that MLflow keeps beside it.
"""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_registry import artifacts, bundle
from model_registry.bundle import Manifest
from model_registry.connection import answering, artifacts_answering, connect
from model_registry.errors import VersionUnfit
from model_registry.redaction import redacted
from model_registry.served import ServedModel, save_served
from model_registry.versions import FILES_GONE, PRODUCTION, PRUNED, Version, version_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

BUNDLE_PATH = "artifacts/bundle"
SOURCE = re.compile(r".*/models/(m-[0-9a-f]{32})/artifacts")


class Registry:
    """The versions behind one MLflow address; connects when first asked."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client of this address."""
        return connect(self.uri)

    def versions(self, name: str) -> list[Version]:
        """All versions, oldest first; none for a model that is not registered."""
        aliases = self.aliases(name)
        with answering(self.uri):
            rows = self.client.search_model_versions(f"name = '{name}'", max_results=10_000)
        found = [version_of(row, aliases) for row in rows]
        return sorted(found, key=lambda version: int(version.version))

    def version(self, name: str, number: str) -> Version:
        """One version.

        Raises:
            VersionUnfit: there is no such version; the message names those there are.
        """
        found = {version.version: version for version in self.versions(name)}
        if str(number) not in found:
            known = ", ".join(f"v{one}" for one in found) or "none"
            raise VersionUnfit(f"model {name!r} has no version {number}; there are: {known}")
        return found[str(number)]

    def aliases(self, name: str) -> dict[str, str]:
        """Alias to version; searching never tells them."""
        from mlflow.exceptions import MlflowException

        with answering(self.uri):
            try:
                aliases = self.client.get_registered_model(name).aliases
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return {}
        return {alias: str(version) for alias, version in aliases.items()}

    def register(
        self,
        name: str,
        directory: Path,
        served: ServedModel,
        *,
        run_id: str,
        tags: Mapping[str, str],
    ) -> Version:
        """Log a sealed bundle as an MLflow model of a run, and make it a version.

        The same bundle again gives the same version again.

        Args:
            name: The registered model; made where absent.
            directory: The bundle.
            served: What MLflow needs to serve it to whoever trusts it.
            run_id: The run that made it.
            tags: Of the version, beside `digest`.

        Raises:
            BundleRefused: the bundle would not be accepted by a reader.
            RegistryError: MLflow refused, or did not answer.
        """
        digest = bundle.verify(directory).digest
        for version in self.versions(name):
            if version.digest == digest and not version.pruned:
                return version
        model = self._logged(name, directory, served, run_id, digest)
        with answering(self.uri):
            if not self.client.search_registered_models(f"name = '{name}'"):
                self._make(name)
            every = {**{key: redacted(value) for key, value in tags.items()}, "digest": digest}
            row = self._created(name, model, every)
        return self.version(name, str(row.version))

    def fetch(
        self,
        name: str,
        number: str,
        into: Path,
        *,
        expected_digest: str | None = None,
        public_key: Path | None = None,
    ) -> Manifest:
        """Download a version's bundle into a private directory and verify it there.

        Args:
            name: The registered model.
            number: Its version.
            into: The directory to make, mode 0700; must not exist.
            expected_digest: What a decision names; the version's own where absent.
            public_key: Whose signature the bundle must carry.

        Raises:
            BundleRefused: what came is not the bundle that was registered.
            VersionUnfit: no such version, or its files are not there.
            RegistryUnreachable: there is no answer.
        """
        version = self.version(name, number)
        if version.digest is None:
            raise VersionUnfit(
                f"model {name!r} v{number} has no digest tag; Nocturne did not register it"
            )
        self.check_present(version)
        into.parent.mkdir(parents=True, exist_ok=True)
        into.mkdir(mode=0o700)
        repository = self._artifacts(version)
        for file in bundle.FILES:
            with (
                tempfile.TemporaryDirectory(dir=into.parent) as folder,
                artifacts_answering(version.source),
                answering(self.uri),
            ):
                got = repository.download_artifacts(f"{BUNDLE_PATH}/{file}", folder)
                Path(got).replace(into / file)
        expected = expected_digest or version.digest
        return bundle.verify(into, expected_digest=expected, public_key=public_key)

    def check_present(self, version: Version) -> dict[str, int]:
        """The bundle's files in the artifact store and their sizes, complete and under the caps.

        Raises:
            VersionUnfit: "artifact ... missing".
            RegistryUnreachable: there is no answer.
        """
        if version.pruned:
            raise VersionUnfit(
                f"artifacts of {version.name!r} v{version.version} were pruned: {version.pruned}; "
                "its night trained again registers them as a new version"
            )
        try:
            with artifacts_answering(version.source), answering(self.uri):
                files = self._artifacts(version).list_artifacts(BUNDLE_PATH)
        except FileNotFoundError:
            files = []
        found = {Path(file.path).name: file.file_size or 0 for file in files}
        missing = sorted(set(bundle.FILES) - set(found))
        if missing:
            raise VersionUnfit(
                f"artifact {missing[0]} of {version.name!r} v{version.version} missing at "
                f"{redacted(version.source)}; register it again, nothing was changed"
            )
        for file, size in found.items():
            if size > bundle.FILES.get(file, 0):
                raise VersionUnfit(
                    f"artifact {file} of {version.name!r} v{version.version}: "
                    f"{size} bytes are no part of a bundle; nothing was downloaded"
                )
        return found

    def size(self, version: Version) -> int:
        """Bytes of all that MLflow keeps for a version; 0 where nothing is left."""
        with artifacts_answering(version.source), answering(self.uri):
            return artifacts.size(self._artifacts(version))

    def prune(self, version: Version, why: str) -> None:
        """Delete the files of a version; its row stays and says why, its number is never reused.

        The tag `pruned` comes first and `files_gone` last, so that a version that is half deleted
        serves nobody and is finished by the next call; one that is finished stays as it is.

        Raises:
            VersionUnfit: its source is not one that Nocturne registers.
            RegistryUnreachable: there is no answer.
        """
        if version.tags.get(FILES_GONE) == "yes":
            return
        self.set_tags(version.name, version.version, {PRUNED: version.pruned or why})
        with artifacts_answering(version.source), answering(self.uri):
            artifacts.remove(self._artifacts(version))
        self.set_tags(version.name, version.version, {FILES_GONE: "yes"})

    def set_tags(self, name: str, number: str, tags: Mapping[str, str]) -> None:
        """Write tags of a version."""
        with answering(self.uri):
            for key, value in tags.items():
                self.client.set_model_version_tag(name, number, key, redacted(value))

    def set_stage(self, name: str, number: str, stage: str) -> None:
        """MLflow's stage call; to Production it archives who stood there, but is no atomic swap."""
        with answering(self.uri), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # "stages will be removed": known
            self.client.transition_model_version_stage(
                name, number, stage, archive_existing_versions=stage == PRODUCTION
            )

    def set_alias(self, name: str, alias: str, number: str | None) -> None:
        """Point an alias at a version, or at none."""
        with answering(self.uri):
            if number is None:
                self.client.delete_registered_model_alias(name, alias)
            else:
                self.client.set_registered_model_alias(name, alias, number)

    def _logged(
        self, name: str, directory: Path, served: ServedModel, run_id: str, digest: str
    ) -> LoggedModel:
        """The bundle as a logged model of the run."""
        with answering(self.uri), tempfile.TemporaryDirectory() as folder:
            experiment = self.client.get_run(run_id).info.experiment_id
            model = self.client.create_logged_model(
                experiment, name, run_id, tags={"digest": digest}, model_type="nocturne"
            )
            try:
                path = save_served(Path(folder) / "model", directory, served, model)
                self.client.log_model_artifacts(model.model_id, str(path))
            except BaseException:
                self.client.finalize_logged_model(model.model_id, "FAILED")
                raise
            return self.client.finalize_logged_model(model.model_id, "READY")

    def _created(self, name: str, model: LoggedModel, tags: Mapping[str, str]) -> Any:
        """The new version, also named on the logged model's page.

        Its source is the place itself: without a server, MLflow would look a logged model up
        wherever the process happens to track.
        """
        row = self.client.create_model_version(
            name, model.artifact_location, model.source_run_id, tags=tags, model_id=model.model_id
        )
        shown = json.dumps([{"name": name, "version": str(row.version)}])
        self.client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": shown})
        return row

    def _make(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _artifacts(self, version: Version) -> Any:
        """The artifact store of a version whose source is one that `register` writes."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        found = SOURCE.fullmatch(version.source)
        with answering(self.uri):
            model = self._logged_model(found[1]) if found else None
            known = (model.artifact_location, model.source_run_id) if model else None
            if model is None or known != (version.source, version.run_id):
                raise VersionUnfit(
                    f"model {version.name!r} v{version.version}: source "
                    f"{redacted(version.source)!r} is not one that Nocturne registers"
                )
            return get_artifact_repository(model.artifact_location, tracking_uri=self.uri)

    def _logged_model(self, model_id: str) -> LoggedModel | None:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
