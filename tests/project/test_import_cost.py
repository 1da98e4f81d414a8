"""Cold imports cost seconds here, so the light paths stay light."""

import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "great_expectations", "mlflow", "prefect", "pandas", "sklearn")


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("flows.cli", (*HEAVY, "pydantic", "numpy", "yaml")),
        ("tasks.config", (*HEAVY, "numpy")),
        ("tasks.architectures", HEAVY),
        ("tasks.resampling", HEAVY),
        ("model_registry.gates", ("tensorflow", "keras", "mlflow", "prefect")),
        ("flows.retraining", ("tensorflow", "keras", "great_expectations", "mlflow")),
    ],
)
def test_importing_a_light_module_loads_nothing_heavy(module, forbidden):
    code = f"import sys, {module}; print(sorted(set({forbidden!r}) & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
