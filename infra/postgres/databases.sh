#!/bin/sh
# Once, when the data folder is new: a role and a database for each server. They may not share
# one, because both keep their schema's version in a table of the same name.
set -eu
for name in mlflow prefect; do
    case $name in
        mlflow) password=$MLFLOW_DB_PASSWORD ;;
        *) password=$PREFECT_DB_PASSWORD ;;
    esac
    psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
         --set=name="$name" --set=password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
