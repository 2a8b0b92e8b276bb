To: cara@example.com
!Reply-To:
