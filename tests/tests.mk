tests-built:
