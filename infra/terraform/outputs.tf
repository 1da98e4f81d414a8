output "image_repository" {
  value = aws_ecr_repository.nocturne.repository_url
}

output "database_host" {
  value = aws_db_instance.database.address
}

output "role_arns" {
  description = "Annotation eks.amazonaws.com/role-arn of each service account."
  value       = { for name, role in aws_iam_role.role : name => role.arn }
}
